//! How long a step takes, kernel by kernel and as a whole.

use std::time::Instant;

use net::{Batch, Hyper, Mode, Result, StepInfo};

use super::{Cuda, Placed};
use crate::driver::{Event, Queue};
use crate::plan::LayerPlan;

/// One launch of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelTime {
    /// The kernel's name.
    pub kernel: &'static str,
    /// The layer, where it is of one.
    pub layer: Option<String>,
    /// `forward`, `weight`, `data`, `input`, `loss` or `update`.
    pub pass: &'static str,
    /// Seconds of one launch: a mean over launches one behind the other.
    pub seconds: f64,
    /// Floating-point operations of the products in it.
    pub flops: u64,
    /// Bytes that have to be read and written at least.
    pub bytes: u64,
}

/// How many images a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Images of a batch.
    pub batch: usize,
    /// Median over rounds.
    pub images_per_s: f64,
    /// The slowest and the fastest round.
    pub spread: [f64; 2],
}

/// Launches of a kernel that are timed together, at least, and the time that they take together, at least.
const LAUNCHES: u32 = 8;
const SECONDS: f64 = 2e-3;
/// Rounds of steps that are timed.
const ROUNDS: usize = 5;

impl Cuda {
    /// What the GPU is called.
    pub fn device_name(&self) -> String {
        self.driver.name()
    }

    fn wait(&mut self, event: Event) -> Result<()> {
        self.driver.record(event, Queue::Compute)?;
        self.driver.block_on(event)
    }

    /// Times every launch of a step (in [`Mode::Infer`]: of a pass) by itself, on the batch of the last pass. Activations and weights
    /// are worth nothing afterwards.
    ///
    /// # Errors
    /// What the device says; where no pass has been.
    pub fn profile(&mut self, batch: &Batch) -> Result<Vec<KernelTime>> {
        // The first stage holds this batch then.
        while self.next != 0 || self.images == 0 {
            self.one_pass(batch)?;
        }
        self.one_pass(batch)?;
        let event = self.driver.event()?;
        let of_one_step = std::mem::take(&mut self.of_one_step);
        let times = of_one_step.iter().map(|placed| self.time(placed, event, batch.n)).collect();
        self.of_one_step = of_one_step;
        times
    }

    fn one_pass(&mut self, batch: &Batch) -> Result<()> {
        let trains = self.plan.mode == Mode::Train;
        self.pass(batch, trains.then(|| StepInfo::whole(0, 0, batch.n)))
    }

    fn time(&mut self, placed: &Placed, event: Event, n: usize) -> Result<KernelTime> {
        let mut count = LAUNCHES;
        let seconds = loop {
            self.wait(event)?;
            let began = Instant::now();
            (0..count).try_for_each(|_| self.driver.launch(&placed.launch))?;
            self.wait(event)?;
            let seconds = began.elapsed().as_secs_f64();
            // An emulated device, on which nothing is fast, is asked once.
            if seconds >= SECONDS || count >= 1 << 16 {
                break seconds / f64::from(count);
            }
            count *= 4;
        };
        let layer = placed.layer.map(|index| &self.plan.layers[index]);
        let (flops, bytes) = layer.map_or((0, self.other_bytes(placed.pass, n)), |layer| self.cost(layer, placed.pass, n));
        let (kernel, pass, layer) = (placed.launch.kernel, placed.pass, layer.map(|layer| layer.name.clone()));
        Ok(KernelTime { kernel, layer, pass, seconds, flops, bytes })
    }

    /// FLOPs and least bytes of a pass of a layer over `n` images. What several launches share is said of each.
    fn cost(&self, layer: &LayerPlan, pass: &str, n: usize) -> (u64, u64) {
        let size = self.plan.element.size() as u64;
        let (x, y) = ((n * layer.input.len()) as u64 * size, (n * layer.output.len()) as u64 * size);
        let Some(product) = &layer.product else {
            // Backward passes read the layer's input or output beside the gradient.
            return (0, if pass == "forward" { x + y } else { 2 * x + y });
        };
        let (weights, flops) = (product.weights() as u64, product.flops() * n as u64);
        match pass {
            "forward" => (flops, x + weights * size + y),
            "weight" => (flops, x + y + weights * 4),
            _ => (flops, y + weights * size + x * if layer.through.is_some() { 2 } else { 1 }),
        }
    }

    fn other_bytes(&self, pass: &str, n: usize) -> u64 {
        let size = self.plan.element.size() as u64;
        match pass {
            "input" => n as u64 * (self.plan.net.input().len() as u64 * 4 + self.plan.pixels.shape.len() as u64 * size),
            "update" => self.plan.parameters.len as u64 * (20 + if self.plan.parameters.copies.is_some() { size } else { 0 }),
            _ => (n * self.plan.net.classes()) as u64 * (8 + size),
        }
    }

    /// Times steps of training (in [`Mode::Infer`]: passes) over the same batch, one behind the other, as a trainer drives them: for
    /// about `seconds`.
    ///
    /// # Errors
    /// What the device says.
    pub fn rate(&mut self, batch: &Batch, hyper: &Hyper, seconds: f64) -> Result<Rate> {
        use net::Executor;
        let event = self.driver.event()?;
        let trains = self.plan.mode == Mode::Train;
        let mut step = 0;
        let mut run = |exec: &mut Cuda, count: u32| -> Result<f64> {
            exec.wait(event)?;
            let began = Instant::now();
            for _ in 0..count {
                if trains {
                    exec.forward_backward(batch, StepInfo::whole(0, step, batch.n))?;
                    exec.apply(hyper)?;
                    while exec.take_loss(false)?.is_some() {}
                } else {
                    exec.pass(batch, None)?;
                }
                step += 1;
            }
            exec.wait(event)?;
            Ok(began.elapsed().as_secs_f64())
        };
        let one = run(self, 2)?.max(1e-6) / 2.0;
        let count = ((seconds / ROUNDS as f64 / one) as u32).clamp(1, 1 << 16);
        let mut rates = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            rates.push(f64::from(count) * batch.n as f64 / run(self, count)?);
        }
        while self.take_loss(true)?.is_some() {}
        rates.sort_by(f64::total_cmp);
        Ok(Rate { batch: batch.n, images_per_s: rates[ROUNDS / 2], spread: [rates[0], rates[ROUNDS - 1]] })
    }
}
