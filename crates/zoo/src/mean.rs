//! What is subtracted from images, out of a file or three numbers.
//!
//! The format says in which order a file has its channels: Caffe's `.binaryproto` and the `.npy` that Caffe's Python makes of it
//! are blue, green, red; our own statistics, cuda-convnet's `batches.meta` and three numbers are red, green, blue.

use std::path::Path;
use std::sync::Arc;

use data::{Fit, Mean, Preprocessing, Statistics, Std};
use net::Shape;
use weights::pickle::Pickle;
use weights::{Mapped, caffemodel, npy, safetensors};

use crate::{Error, Result};

/// What a file holds, red first.
enum Found {
    /// `[c, h, w]`.
    Image { c: usize, h: usize, w: usize, values: Vec<f32> },
    /// Everything that a run measures.
    Statistics(Statistics),
}

/// Lets `preprocessing` subtract what `text` says: `R,G,B`, or a file's mean image. Gives the statistics that it then needs.
///
/// An image of the stored side is subtracted as the preprocessing does it, or at the centre. Of a larger one the centre is
/// taken; one of the net's own size is laid at the centre of the stored square, of which no more is seen; of any other the
/// mean of each channel remains. `notes` say which.
///
/// # Errors
/// [`Error::Given`] where there is no such file, or it does not fit the net.
pub(crate) fn apply(
    text: &str,
    preprocessing: &mut Preprocessing,
    input: Shape,
    notes: &mut Vec<String>,
) -> Result<Option<Statistics>> {
    if let Some(values) = numbers(text) {
        preprocessing.mean = Mean::Values(values);
        return Ok(None);
    }
    let fault = |message: String| Error::Given { option: "--mean", message: format!("`{text}` {message}") };
    let path = Path::new(text);
    if !path.is_file() {
        return Err(fault("is neither a file nor three numbers R,G,B".into()));
    }
    let statistics = match of_file(path)? {
        Found::Statistics(statistics) => statistics,
        Found::Image { .. } if preprocessing.std == Std::Channels => {
            return Err(fault("holds no standard deviations, which this net divides by".into()));
        }
        Found::Image { c, h, w, values } => neutral(c, h, w, values).map_err(fault)?,
    };
    let (c, planes) = (statistics.mean.len(), preprocessing.planes());
    if c != planes {
        return Err(fault(format!("is of {c} channels, the net sees {planes}")));
    }
    place(statistics, text, preprocessing, input, notes)
}

/// Lets `preprocessing` subtract an image of the net's own size, `[c, h, w]` and red first, that a graph in `file` subtracts.
/// Gives the statistics that it then needs.
///
/// # Errors
/// Where the image is no square.
pub(crate) fn apply_crop(
    file: &Path,
    values: Vec<f32>,
    preprocessing: &mut Preprocessing,
    input: Shape,
    notes: &mut Vec<String>,
) -> Result<Option<Statistics>, String> {
    let statistics = neutral(input.c, input.h, input.w, values)?;
    place(statistics, &file.to_string_lossy(), preprocessing, input, notes).map_err(|error| error.to_string())
}

/// Three numbers between commas.
fn numbers(text: &str) -> Option<[f32; 3]> {
    let values: Option<Vec<f32>> = text.split(',').map(|part| part.trim().parse().ok().filter(|v: &f32| v.is_finite())).collect();
    values?.try_into().ok()
}

fn of_file(path: &Path) -> Result<Found> {
    let file = Arc::new(Mapped::open(path)?);
    if npy::recognises(file.bytes()) {
        let array = npy::read(&file)?;
        return of_array(&array.shape, &array.data).map_err(|message| unusable(path, "npy", message));
    }
    // A pickle of protocol 2 and later, or a dictionary of the first two.
    if matches!(file.bytes(), [0x80 | b'(' | b'}', ..]) {
        return of_pickle(file.bytes()).map_err(|message| unusable(path, "batches.meta", message));
    }
    if safetensors::recognises(file.bytes()) {
        let tensors = safetensors::read(path)?.0;
        return Ok(Found::Statistics(Statistics::from_tensors(&tensors)?));
    }
    let blob = caffemodel::blob(&file)?;
    let shape = match &blob.shape[..] {
        [1, rest @ ..] if rest.len() == 3 => rest,
        all => all,
    };
    of_array(shape, blob.data()).map_err(|message| unusable(path, "blob", message))
}

fn unusable(path: &Path, format: &'static str, message: String) -> Error {
    weights::Error::Format { path: path.into(), format, message }.into()
}

/// `data_mean` of cuda-convnet's `batches.meta`: planes of red, green and blue, or one of grey, as a column of numbers.
fn of_pickle(bytes: &[u8]) -> Result<Found, String> {
    let (pickle, _) = Pickle::read(bytes)?;
    let mean = pickle.root().get("data_mean").ok_or("it has no `data_mean`")?;
    let values = mean.array().map_err(|message| format!("its `data_mean`: {message}"))?.to_f32();
    let of_planes = |c: usize| {
        let side = (values.len() / c).isqrt();
        (side > 0 && c * side * side == values.len()).then_some((c, side))
    };
    let Some((c, side)) = of_planes(3).or_else(|| of_planes(1)) else {
        return Err(format!("its `data_mean` has {} values, which are no square image", values.len()));
    };
    if !values.iter().all(|value| value.is_finite()) {
        return Err("its `data_mean` has values that are not finite".into());
    }
    Ok(Found::Image { c, h: side, w: side, values })
}

/// Caffe's channels the other way round: `[c, h, w]`, `[h, w, c]`, or `[c]` alone.
fn of_array(shape: &[usize], values: &[f32]) -> Result<Found, String> {
    if !values.iter().all(|value| value.is_finite()) {
        return Err("it has values that are not finite".into());
    }
    let channels = |c: usize| c == 1 || c == 3;
    // Sizes, and the distances of channels, rows and columns.
    let ([c, h, w], steps) = match *shape {
        [c] if channels(c) => ([c, 1, 1], [1, 1, 1]),
        [c, h, w] if channels(c) => ([c, h, w], [h * w, w, 1]),
        [h, w, c] if channels(c) => ([c, h, w], [1, w * c, c]),
        _ => return Err(format!("shape {shape:?} is no image of one or three channels")),
    };
    if h == 0 || w == 0 {
        return Err(format!("shape {shape:?} has no pixels"));
    }
    let places = (0..c).rev().flat_map(|ch| (0..h).flat_map(move |y| (0..w).map(move |x| [ch, y, x])));
    let values = places.map(|[ch, y, x]| values[ch * steps[0] + y * steps[1] + x * steps[2]]).collect();
    Ok(Found::Image { c, h, w, values })
}

/// Statistics of which only the means are known: unit deviations, and colours that do not vary.
fn neutral(c: usize, h: usize, w: usize, values: Vec<f32>) -> Result<Statistics, String> {
    if h != w {
        return Err(format!("holds an image of {h} × {w} pixels, which is no square"));
    }
    let of_channel = |plane: &[f32]| (plane.iter().map(|&v| f64::from(v)).sum::<f64>() / plane.len() as f64) as f32;
    Ok(Statistics {
        images: 0,
        side: h,
        mean: values.chunks_exact(h * w).map(of_channel).collect(),
        mean_image: values,
        std: vec![1.0; c],
        eigenvalues: vec![0.0; c],
        eigenvectors: (0..c * c).map(|i| if i / c == i % c { 1.0 } else { 0.0 }).collect(),
    })
}

/// Brings the mean image to the stored square, and lets the preprocessing subtract it.
fn place(
    mut statistics: Statistics,
    text: &str,
    preprocessing: &mut Preprocessing,
    input: Shape,
    notes: &mut Vec<String>,
) -> Result<Option<Statistics>> {
    let (stored, side) = (preprocessing.stored, statistics.side);
    let centred =
        |mean: Mean| if mean == Mean::ImageAtCrop && preprocessing.fit != Fit::ShorterSide { mean } else { Mean::Image };
    if side >= stored {
        preprocessing.mean = centred(preprocessing.mean);
        if side > stored {
            notes.push(format!("the mean image of `{text}` has {side} pixels a side; its central {stored} are taken"));
            statistics.mean_image = centre(&statistics.mean_image, side, stored);
        }
    } else if (side, side) == (input.h, input.w) {
        preprocessing.mean = Mean::Image;
        notes.push(format!("the mean image of `{text}` is of the net's own size, and is subtracted from every crop"));
        statistics.mean_image = framed(&statistics.mean_image, side, stored, &statistics.mean);
    } else {
        // A file of channel means alone is what it should be.
        if side > 1 {
            notes.push(format!(
                "the mean image of `{text}` has {side} pixels a side, not {stored}; the mean of each channel is subtracted instead"
            ));
        }
        preprocessing.mean = Mean::Channels;
        (statistics.side, statistics.mean_image) = (0, Vec::new());
        return Ok(Some(statistics));
    }
    statistics.side = stored;
    Ok(Some(statistics))
}

/// The central `inner × inner` pixels of each plane of `outer × outer`, as crops are taken.
fn centre(image: &[f32], outer: usize, inner: usize) -> Vec<f32> {
    let start = (outer - inner) / 2;
    let rows = image.chunks_exact(outer * outer).flat_map(|plane| plane.chunks_exact(outer).skip(start).take(inner));
    rows.flat_map(|row| row[start..start + inner].iter().copied()).collect()
}

/// Each plane of `inner × inner` pixels in the middle of `outer × outer`, which else are `around`, a value a plane.
fn framed(image: &[f32], inner: usize, outer: usize, around: &[f32]) -> Vec<f32> {
    let start = (outer - inner) / 2;
    let mut out: Vec<f32> = around.iter().flat_map(|&value| std::iter::repeat_n(value, outer * outer)).collect();
    for (plane, from) in out.chunks_exact_mut(outer * outer).zip(image.chunks_exact((inner * inner).max(1))) {
        for (row, from) in plane.chunks_exact_mut(outer).skip(start).zip(from.chunks_exact(inner)) {
            row[start..start + inner].copy_from_slice(from);
        }
    }
    out
}
