//! Who holds the device's memory and runs its blocks: this process, or another.

use std::path::Path;

use net::Result;

use super::library::{self, Machines};
use super::memory::Memory;
use crate::driver::{Launch, fault};

/// What is known of a kernel.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    pub(crate) name: String,
    pub(crate) args_bytes: usize,
    /// The most that a block may have.
    pub(crate) threads: u32,
    /// Its place among all that the host has loaded.
    pub(crate) index: usize,
}

/// Memory and kernels. Addresses and kernels are those that it gave; a launch fits its kernel.
pub(crate) trait Host: Send {
    /// Takes memory, which is not a number in any type.
    fn take(&mut self, bytes: u64) -> Result<u64>;

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<()>;

    fn read(&mut self, at: u64, bytes: &mut [u8]) -> Result<()>;

    fn zero(&mut self, at: u64, len: u64) -> Result<()>;

    /// Loads a library; its kernels.
    fn load(&mut self, library: &Path) -> Result<Vec<Kernel>>;

    /// Runs every block.
    ///
    /// # Errors
    /// The fault of the kernel.
    fn launch(&mut self, kernel: &Kernel, launch: &Launch, seed: u64, workers: usize) -> Result<()>;
}

/// This process.
#[derive(Default)]
pub(crate) struct Here {
    kernels: Vec<library::Kernel>,
    machines: Machines,
    memory: Memory,
}

impl Host for Here {
    fn take(&mut self, bytes: u64) -> Result<u64> {
        self.memory.take(bytes)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.memory.bytes(at, bytes.len() as u64).map(|to| to.copy_from_slice(bytes))
    }

    fn read(&mut self, at: u64, bytes: &mut [u8]) -> Result<()> {
        self.memory.bytes(at, bytes.len() as u64).map(|from| bytes.copy_from_slice(from))
    }

    fn zero(&mut self, at: u64, len: u64) -> Result<()> {
        self.memory.bytes(at, len).map(|bytes| bytes.fill(0))
    }

    fn load(&mut self, library: &Path) -> Result<Vec<Kernel>> {
        let first = self.kernels.len();
        self.kernels.extend(library::load(library)?);
        let kernel = |(index, kernel): (usize, &library::Kernel)| Kernel {
            name: kernel.name.clone(),
            args_bytes: kernel.args_bytes,
            threads: kernel.threads,
            index,
        };
        Ok(self.kernels.iter().enumerate().skip(first).map(kernel).collect())
    }

    fn launch(&mut self, kernel: &Kernel, launch: &Launch, seed: u64, workers: usize) -> Result<()> {
        self.machines.launch(&self.kernels[kernel.index], launch, seed, workers)?;
        match self.memory.overrun() {
            None => Ok(()),
            Some((at, bytes)) => Err(fault(format!("kernel `{}` writes outside the {bytes} bytes at {at:#x}", kernel.name))),
        }
    }
}

/// Blocks in a random order: an arithmetic progression modulo their number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    blocks: u64,
    /// Of the first.
    pub(crate) first: u64,
    /// From one to the next.
    pub(crate) step: u64,
}

impl Order {
    pub(crate) fn new(grid: [u32; 3], seed: u64) -> Order {
        let blocks = grid.iter().map(|&n| u64::from(n)).product::<u64>().max(1);
        let numbers = net::random::Stream::new(seed, net::random::Purpose::Test, 0, 0, 0).block(0);
        let coprime = |step: &u64| {
            let (mut a, mut b) = (*step, blocks);
            while b != 0 {
                (a, b) = (b, a % b);
            }
            a == 1
        };
        let step = (u64::from(numbers[0]) % blocks..).find(coprime).unwrap_or(1);
        Order { blocks, first: u64::from(numbers[1]) % blocks, step }
    }

    pub(crate) fn blocks(&self) -> u64 {
        self.blocks
    }

    /// The block that is run as the `number`-th.
    pub(crate) fn block(&self, number: u64) -> u64 {
        let block = u128::from(number) * u128::from(self.step) + u128::from(self.first);
        (block % u128::from(self.blocks)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_has_its_turn() {
        for (grid, seed) in [[1, 1, 1], [2, 1, 1], [6, 1, 1], [5, 4, 3], [97, 1, 2]].into_iter().flat_map(|g| [(g, 0), (g, 9)]) {
            let order = Order::new(grid, seed);
            let mut blocks: Vec<u64> = (0..order.blocks()).map(|number| order.block(number)).collect();
            blocks.sort_unstable();
            assert!(blocks.iter().copied().eq(0..u64::from(grid.iter().product::<u32>())), "{grid:?}");
        }
    }
}
