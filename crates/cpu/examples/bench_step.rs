//! Times training steps or forward passes, and prints one line of JSON.
//!
//! ```text
//! bench_step [--net alexnet] [--mode train|forward] [--batch 128] [--threads N] [--isa NAME] [--warmup 2] [--iters 5] [--plan]
//! ```
//!
//! A training step is forward, backward and update on random pixels and labels that are already in memory.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use cpu::{Cpu, Isa, Options};
use net::random::{Purpose, Stream};
use net::{Batch, Executor, Form, Hyper, Kind, Mode, Net, ParamHyper, StepInfo};

struct Arguments {
    net: String,
    mode: Mode,
    batch: usize,
    options: Options,
    warmup: usize,
    iters: usize,
    plan: bool,
}

fn arguments() -> Result<Arguments, String> {
    let (net, options) = ("alexnet".to_string(), Options::default());
    let mut parsed = Arguments { net, mode: Mode::Train, batch: 128, options, warmup: 2, iters: 5, plan: false };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        if flag == "--plan" {
            parsed.plan = true;
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let number = || value.parse::<usize>().map_err(|e| format!("{flag} {value}: {e}"));
        match flag.as_str() {
            "--net" => parsed.net = value,
            "--mode" if value == "train" => parsed.mode = Mode::Train,
            "--mode" if value == "forward" => parsed.mode = Mode::Infer,
            "--batch" => parsed.batch = number()?,
            "--threads" => parsed.options.threads = Some(number()?),
            "--isa" => parsed.options.isa = Some(value.parse::<Isa>().map_err(|e| e.to_string())?),
            "--warmup" => parsed.warmup = number()?,
            "--iters" => parsed.iters = number()?.max(1),
            _ => return Err(format!("unknown argument {flag} {value}")),
        }
    }
    Ok(parsed)
}

/// Random pixels in ±1 and labels, the same every time.
fn batch(net: &Net, n: usize) -> Batch {
    let mut batch = Batch::with_capacity(n, net.input().len());
    let stream = Stream::new(0, Purpose::Test, 0, 0, 0);
    for (e, pixel) in batch.f32_mut().iter_mut().enumerate() {
        *pixel = (2.0 * stream.uniform(e as u32) - 1.0) as f32;
    }
    for (i, label) in batch.labels.iter_mut().enumerate() {
        *label = stream.below(i as u32, net.classes() as u32);
    }
    batch.n = n;
    batch
}

fn step(exec: &mut Cpu, batch: &Batch, mode: Mode, step: u32, hyper: &Hyper) -> net::Result<()> {
    if mode == Mode::Infer {
        return exec.forward(batch).map(|_| ());
    }
    exec.forward_backward(batch, StepInfo::whole(0, step, batch.n))?;
    exec.take_loss(true)?;
    exec.apply(hyper)
}

/// CPU time of all threads of this process, in milliseconds: on a busy machine it says more than the clock on the wall. Linux only.
fn cpu_ms() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Fields 14 and 15 of proc(5), user and system time in hundredths of a second; the name before them may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some((fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?) * 10.0)
}

fn breakdown(exec: &Cpu, images: usize, iters: usize) -> String {
    let lines = exec.timings().iter().filter(|timing| timing.time > Duration::ZERO).map(|timing| {
        let seconds = timing.time.as_secs_f64() / iters as f64;
        let gflops = timing.flops_per_image as f64 * images as f64 / seconds / 1e9;
        let (layer, pass) = (&timing.layer, timing.pass);
        format!("{{\"layer\":\"{layer}\",\"pass\":\"{pass}\",\"ms\":{:.3},\"gflops_per_s\":{gflops:.1}}}", seconds * 1e3)
    });
    lines.collect::<Vec<_>>().join(",")
}

fn run() -> Result<(), String> {
    let arguments = arguments()?;
    let net = Net::preset(&arguments.net).map_err(|e| e.to_string())?;
    let mut exec = cpu::prepare(&net, arguments.batch, arguments.mode, &arguments.options).map_err(|e| e.to_string())?;
    if arguments.plan {
        println!("{}", exec.plan());
        return Ok(());
    }
    exec.load(Kind::Weights, &net.initial_params(0)).map_err(|e| e.to_string())?;
    let (batch, rates) = (batch(&net, arguments.batch), vec![ParamHyper { rate: 1e-4, decay: 5e-4 }; net.params().len()]);
    let hyper = Hyper { form: Form::RateInside, momentum: 0.9, params: rates };
    let (mut ms, mut cpu_begin) = (Vec::with_capacity(arguments.iters), None);
    for i in 0..arguments.warmup + arguments.iters {
        if i == arguments.warmup {
            exec.reset_timings();
            cpu_begin = cpu_ms();
        }
        let start = Instant::now();
        step(&mut exec, &batch, arguments.mode, i as u32, &hyper).map_err(|e| e.to_string())?;
        if i >= arguments.warmup {
            ms.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    let spent = cpu_begin.zip(cpu_ms()).map(|(begin, end)| (end - begin) / arguments.iters as f64);
    ms.sort_by(f64::total_cmp);
    let median = (ms[(ms.len() - 1) / 2] + ms[ms.len() / 2]) / 2.0;
    println!(
        "{{\"program\":\"alexnet cpu\",\"net\":\"{}\",\"mode\":\"{}\",\"dtype\":\"f32\",\"batch\":{},\"threads\":{},\"isa\":\"{}\",\
         \"ms\":{median:.2},\"ms_min\":{:.2},\"ms_max\":{:.2},\"images_per_s\":{:.2},\"cpu_ms\":{},\"passes\":[{}]}}",
        net.name(),
        if arguments.mode == Mode::Train { "train" } else { "forward" },
        arguments.batch,
        exec.threads(),
        exec.isa(),
        ms[0],
        ms[ms.len() - 1],
        arguments.batch as f64 / median * 1e3,
        spent.map_or("null".into(), |ms| format!("{ms:.0}")),
        breakdown(&exec, arguments.batch, arguments.iters)
    );
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("bench_step: {message}");
            ExitCode::from(2)
        }
    }
}
