//! The machine code of every kernel, for every kind of GPU and type of values, where NVIDIA's compiler is: what registers it takes,
//! that nothing is spilled, and that products use matrix instructions.

use super::nvrtc::{compiler, library};
use crate::driver::cuda::compile::Source;
use crate::kernels::{self, Element};

/// What a thread of a kernel may take at most, by the beginning of its name; the first that fits. A multiprocessor has 65,536
/// registers: 128 let two blocks of 256 threads run on it at once, 64 let four, 168 let one.
const REGISTERS: [(&str, u32); 10] = [
    ("forward_128x128", 168),
    ("data_128x128", 168),
    ("weight_128x128", 168),
    ("forward_", 128),
    ("data_", 128),
    ("weight_", 128),
    ("local_", 128),
    ("lrn_within_", 128),
    ("avg_pool_", 80),
    ("dropout_maps", 80),
];
/// Of any other.
const REGISTERS_OF_OTHERS: u32 = 72;

/// Bytes that are stored in and loaded from local memory in spite of all: kernel and GPU.
const SPILLED: [(&str, (u32, u32), u32); 1] = [("forward_128x64", (12, 0), 24)];

/// What the assembler says of a kernel.
#[derive(Debug, Default)]
struct Report {
    kernel: String,
    registers: u32,
    /// Bytes of local memory of a thread: arrays that are not in registers, and what is spilled.
    stack: u32,
    spilled: u32,
}

impl Report {
    /// What is wrong with it.
    fn faults(&self, gpu: (u32, u32)) -> impl Iterator<Item = String> {
        let Report { kernel, registers, stack, spilled } = self;
        let most = REGISTERS.iter().find(|(start, _)| kernel.starts_with(start)).map_or(REGISTERS_OF_OTHERS, |&(_, most)| most);
        let known = SPILLED.iter().find(|(name, on, _)| name == kernel && *on == gpu).map_or(0, |&(.., bytes)| bytes);
        let too_many = (*registers > most).then(|| format!("{kernel} takes {registers} registers, more than {most}"));
        let local = (*stack > known).then(|| format!("{kernel} has {stack} bytes of local memory"));
        let spills = (*spilled > known).then(|| format!("{kernel} spills {spilled} bytes, not {known}"));
        [too_many, local, spills].into_iter().flatten()
    }
}

/// Reads what `ptxas -v` writes.
fn reports(log: &str) -> Vec<Report> {
    let number_before =
        |line: &str, what: &str| -> Option<u32> { line.split(what).next()?.split_whitespace().last()?.parse().ok() };
    let mut reports: Vec<Report> = Vec::new();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            reports.push(Report { kernel: rest.split('\'').next().unwrap_or("").into(), ..Report::default() });
        }
        let Some(report) = reports.last_mut() else { continue };
        if line.contains(" bytes stack frame") {
            report.stack = number_before(line, " bytes stack frame").expect("a number");
            let spills = [" bytes spill stores", " bytes spill loads"].map(|what| number_before(line, what).expect("a number"));
            report.spilled = spills.iter().sum();
        }
        if line.contains("Used ") && line.contains(" registers") {
            report.registers = number_before(line, " registers").expect("a number");
        }
    }
    reports
}

/// The HMMA instructions of a kernel in a cubin. An instruction has 128 bits, of which the lowest 12 say what it does: the number
/// is what `nvdisasm` finds.
fn matrix_instructions(cubin: &[u8], kernel: &str) -> usize {
    let code = section(cubin, &format!(".text.{kernel}")).expect("the kernel's code");
    code.chunks_exact(16).filter(|i| u16::from_le_bytes([i[0], i[1]]) & 0xfff == 0x23c).count()
}

/// A section of an ELF file of 64 bits.
fn section<'a>(file: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let at = |from: usize, bytes: usize| {
        file.get(from..from + bytes).map(|b| b.iter().rev().fold(0_usize, |value, &byte| value << 8 | usize::from(byte)))
    };
    let (headers, size, count, names) = (at(0x28, 8)?, at(0x3a, 2)?, at(0x3c, 2)?, at(0x3e, 2)?);
    let header = |i: usize| headers + i * size;
    let names = at(header(names) + 0x18, 8)?;
    let found = (0..count).map(header).find(|&header| {
        let start = names + at(header, 4).unwrap_or(0);
        file.get(start..).is_some_and(|text| text.starts_with(name.as_bytes()) && text.get(name.len()) == Some(&0))
    })?;
    file.get(at(found + 0x18, 8)?..)?.get(..at(found + 0x20, 8)?)
}

/// Whether a kernel multiplies matrices.
fn is_product(source: &str) -> bool {
    source.starts_with("conv_")
}

/// Compiles every kernel and checks what came out.
fn check(gpu: (u32, u32), elements: &[Element]) {
    let Some(library) = library() else { return };
    let headers = kernels::headers();
    let mut faults = Vec::new();
    for &element in elements {
        let compiler = compiler(&library, gpu, element);
        for (name, text) in kernels::SOURCES {
            let (cubin, log) = compiler.compile_with(Source { name, text, headers: &headers }, &["--ptxas-options=-v"]).unwrap();
            let reports = reports(&log);
            assert!(!reports.is_empty(), "{name}, {element:?}: {log}");
            for report in reports {
                let matrices = is_product(name) && element != Element::F32;
                let found = matrix_instructions(&cubin, &report.kernel);
                faults.extend(report.faults(gpu).map(|fault| format!("{element:?}, sm_{}{}: {fault}", gpu.0, gpu.1)));
                if matrices != (found > 0) {
                    faults.push(format!("{element:?}, sm_{}{}: {} has {found} matrix instructions", gpu.0, gpu.1, report.kernel));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn sm_80_keeps_everything_in_registers() {
    check((8, 0), &[Element::F32, Element::Tf32, Element::Bf16]);
}

#[test]
fn sm_90_keeps_everything_in_registers() {
    check((9, 0), &[Element::F32, Element::Tf32, Element::Bf16, Element::F16]);
}

#[test]
fn sm_100_keeps_everything_in_registers() {
    check((10, 0), &[Element::F32, Element::Tf32, Element::Bf16]);
}

#[test]
fn sm_120_keeps_everything_in_registers() {
    check((12, 0), &[Element::F32, Element::Tf32, Element::Bf16]);
}

#[test]
fn what_the_assembler_says_is_read() {
    let log = "ptxas info    : 4 bytes gmem\n\
        ptxas info    : Compiling entry function 'one' for 'sm_90a'\n\
        ptxas info    : Function properties for one\n\
        ptxas         .     800 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads\n\
        ptxas info    : Used 40 registers, used 0 barriers, 800 bytes cumulative stack size\n\
        ptxas info    : Compiling entry function 'forward_64x64' for 'sm_90a'\n\
        ptxas info    : Function properties for forward_64x64\n    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n\
        ptxas info    : Used 129 registers, used 1 barriers\n";
    let reports = reports(log);
    let faults: Vec<Vec<String>> = reports.iter().map(|report| report.faults((9, 0)).collect()).collect();
    assert_eq!(faults[0], ["one has 800 bytes of local memory", "one spills 20 bytes, not 0"]);
    assert_eq!(faults[1], ["forward_64x64 takes 129 registers, more than 128"]);
}
