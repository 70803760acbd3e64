//! `--device` and `--precision`: where a net is computed, and in what.

use std::fmt;

use clap::Args;
use net::Precision;

use crate::engine::Engine;
use crate::failure::{Failure, Result};

/// What `--device` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device {
    /// A GPU where one can be used, else the CPU.
    Auto,
    Cpu,
    /// The GPU that the driver gives this number, from 0.
    Cuda(usize),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Auto => f.pad("auto"),
            Device::Cpu => f.pad("cpu"),
            Device::Cuda(number) => f.pad(&format!("cuda:{number}")),
        }
    }
}

/// Where a net is computed.
#[derive(Args, Debug, Clone, Copy)]
pub(crate) struct Where {
    /// Where to compute: cpu, cuda for NVIDIA's first GPU, cuda:N for the one numbered N, or auto: a GPU where one can be used
    #[arg(long, value_name = "auto|cpu|cuda[:N]", default_value = "auto", value_parser = device)]
    device: Device,
}

/// Where a net is computed, and in what.
#[derive(Args, Debug, Clone, Copy)]
pub(crate) struct Compute {
    #[command(flatten)]
    place: Where,
    /// What may be rounded to: on CPUs f32, or bf16 in linear layers; on GPUs also tf32 and f16 [default: f32, on GPUs bf16]
    #[arg(long, value_name = "f32|tf32|bf16|f16", value_parser = precision)]
    precision: Option<Precision>,
}

impl Compute {
    /// The engine that is asked for; its CPU has so many threads, or one for each core.
    pub(crate) fn engine(self, threads: Option<usize>) -> Result<Engine> {
        Engine::new(self.place, threads, self.precision)
    }

    /// The same for what the CPU engine alone can do.
    pub(crate) fn on_cpu(self, what: &str) -> Result<Compute> {
        Ok(Compute { place: self.place.on_cpu(what)?, ..self })
    }
}

impl Where {
    pub(crate) fn device(self) -> Device {
        self.device
    }

    fn on_cpu(self, what: &str) -> Result<Where> {
        match self.device {
            Device::Auto | Device::Cpu => Ok(Where { device: Device::Cpu }),
            Device::Cuda(_) => {
                let message = format!("{what} is of the CPU engine, and --device {} is given", self.device);
                Err(Failure::usage(message, "leave one of the two out"))
            }
        }
    }
}

pub(crate) fn device(text: &str) -> Result<Device, String> {
    let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.bytes().all(|c| c.is_ascii_digit()));
    match text {
        "auto" => Ok(Device::Auto),
        "cpu" => Ok(Device::Cpu),
        "cuda" => Ok(Device::Cuda(0)),
        _ => match text.strip_prefix("cuda:").and_then(number) {
            Some(number) => Ok(Device::Cuda(number.into())),
            None => Err("a device is auto, cpu, cuda, or cuda: and a number from 0 on".into()),
        },
    }
}

/// A precision by its name.
pub(crate) fn precision(text: &str) -> Result<Precision, String> {
    let found = Precision::ALL.into_iter().find(|precision| precision.to_string() == text);
    found.ok_or_else(|| "a precision is f32, tf32, bf16 or f16".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_read_as_they_print() {
        for known in [Device::Auto, Device::Cpu, Device::Cuda(0), Device::Cuda(17)] {
            assert_eq!(device(&known.to_string()), Ok(known));
        }
        assert_eq!(device("cuda"), Ok(Device::Cuda(0)));
        for text in ["", "gpu", "Cuda", "cuda:", "cuda:-1", "cuda:+1", "cuda:1.0", "cuda:70000", "cuda1", "cpu:0", "cuda: 1"] {
            assert!(device(text).is_err(), "{text}");
        }
    }

    #[test]
    fn precisions_have_four_names() {
        for known in Precision::ALL {
            assert_eq!(precision(&known.to_string()), Ok(known));
        }
        assert!(precision("fp16").is_err() && precision("").is_err());
    }
}
