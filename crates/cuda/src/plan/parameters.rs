//! Where parameters, their copies, gradients and momenta lie, and in which order.

use net::lifetimes::{Buffer, Needs};
use net::{Mode, Op};

use super::layout::Order;
use super::{F32, LayerPlan, PixelPlan, Request, first_window};
use crate::kernels::Element;

/// One parameter.
#[derive(Debug)]
pub(crate) struct Parameter {
    /// Its place in each of the buffers of [`Parameters`], in values.
    pub(crate) offset: usize,
    pub(crate) order: Order,
    /// For each value of one output map whether the net has it, where it lacks some; a place in [`Parameters::masks`].
    pub(crate) mask: Option<usize>,
}

/// All parameters.
#[derive(Debug)]
pub(crate) struct Parameters {
    /// In the net's order.
    pub(crate) each: Vec<Parameter>,
    /// Values of all, with what lies between.
    pub(crate) len: usize,
    /// f32.
    pub(crate) weights: Buffer,
    /// Gradients and momenta in f32, in training.
    pub(crate) learning: Option<(Buffer, Buffer)>,
    /// The weights in the element that products read; none where that is f32.
    pub(crate) copies: Option<Buffer>,
    /// The bytes of all masks, and where they lie.
    pub(crate) mask_bytes: Vec<u8>,
    pub(crate) masks: Buffer,
}

/// Parameters begin at multiples of this many values.
const ALIGN_VALUES: usize = 64;

impl Parameters {
    pub(crate) fn new(request: &Request<'_>, layers: &[LayerPlan], pixels: &PixelPlan, needs: &mut Needs) -> Parameters {
        let (mut each, mut len, mut mask_bytes) = (Vec::new(), 0, Vec::new());
        for layer in layers.iter().filter(|layer| layer.params.is_some()) {
            let first = std::ptr::eq(layer, &layers[0]);
            let orders = orders(layer, first.then_some(pixels).filter(|_| first_window(request.net).is_some()));
            for order in orders {
                let mask = order.mask().map(|mask| {
                    let at = mask_bytes.len();
                    mask_bytes.extend(mask);
                    mask_bytes.resize(mask_bytes.len().next_multiple_of(16), 0);
                    at
                });
                each.push(Parameter { offset: len, order, mask });
                len = (len + order.len()).next_multiple_of(ALIGN_VALUES);
            }
        }
        let end = request.end();
        let mut buffer = |bytes: usize| needs.buffer(bytes, 0, end);
        let weights = buffer(len * F32);
        let learning = (request.mode == Mode::Train).then(|| (buffer(len * F32), buffer(len * F32)));
        let copies = match request.element {
            Element::F32 | Element::Tf32 => None,
            Element::Bf16 | Element::F16 => Some(buffer(len * request.element.size())),
        };
        let masks = buffer(mask_bytes.len());
        Parameters { each, len, weights, learning, copies, mask_bytes, masks }
    }
}

/// The orders of a layer's weight and bias; `pixels` is what the first layer sees, where that was made for it.
fn orders(layer: &LayerPlan, pixels: Option<&PixelPlan>) -> [Order; 2] {
    let (input, output) = (layer.input, layer.output);
    match (&layer.op, pixels) {
        (Op::Conv(conv), Some(pixels)) => {
            let (r, s) = (conv.kernel.r, conv.kernel.s);
            let weight = Order { k: conv.k, c: input.c, r, s, fold: pixels.fold, channels: pixels.shape.c };
            [weight, Order::same(conv.k)]
        }
        (Op::Conv(conv), None) => {
            [Order::turned(conv.k, input.c / conv.groups, conv.kernel.r, conv.kernel.s), Order::same(conv.k)]
        }
        (Op::Local(local), _) => {
            let weight = Order::turned(output.len(), input.c, local.kernel.r, local.kernel.s);
            [weight, Order::turned(1, output.c, output.h, output.w)]
        }
        (Op::Linear(linear), _) => [Order::turned(linear.k, input.c, input.h, input.w), Order::same(linear.k)],
        (op, _) => unreachable!("a {} has no parameters", op.kind()),
    }
}
