use super::*;
use crate::args::macros::args;
use crate::args::{Floats, Ptr};

args! {
    struct Faulty {
        y: Floats,
        how: u32,
        reserved: u32,
    }
}

fn text() -> String {
    source(&[Faulty::C], "", include_str!("../../../../tests/host/faults.cu"))
}

fn run(device: &mut Emulated, how: u32) -> Result<()> {
    device.compile_text("faults.cu", &text())?;
    let y = device.with(&[0.0_f32; 64]);
    device.call("faulty", [1, 1, 1], 64, 256, &Faulty { y: Ptr::at(y), how, reserved: 0 })
}

/// Each fault of faults.cu and what is said of it: by the checked library, and by the sanitizers, where they say something else.
const FAULTS: [(u32, &str, &str); 17] = [
    (1, "while others wait at another", ""),
    (2, "__syncwarp", ""),
    (3, "a shuffle (faults.cu:24) for 0xffff0000, which never come", ""),
    (4, "uses the misaligned address", "misaligned address"),
    (5, "uses the misaligned address", "misaligned address"),
    (6, "uses the address", "SEGV"),
    (7, "writes outside its 256 bytes of shared memory", "heap-buffer-overflow"),
    (9, "writes outside the 256 bytes at", "heap-buffer-overflow"),
    (11, "not a multiple of 16", ""),
    (12, "not a multiple of 16", ""),
    (13, "copy_async_16 (faults.cu:35) at byte 256 of 256 of shared memory", ""),
    (14, "a division by zero", "division by zero"),
    (15, "an index outside its array", "out of bounds"),
    (16, "ldmatrix_x4", ""),
    (17, "while others of its warp are at mma_16x8x16 (bf16) (faults.cu:", ""),
    (18, "without itself", ""),
    (19, "__syncwarp (faults.cu:59) for", ""),
];

#[test]
fn faults_are_errors_that_name_kernel_and_block() {
    for (how, said, _) in FAULTS {
        for seed in 0..4 {
            let Some(mut device) = testing::device(Element::Bf16, seed) else { return };
            let message = run(&mut device, how).map_or_else(|e| e.to_string(), |()| "nothing".into());
            assert!(message.contains(said) && message.contains("kernel `faulty`"), "fault {how}, seed {seed}: {message}");
        }
    }
}

#[test]
fn after_a_fault_the_device_goes_on() {
    let Some(mut device) = testing::device(Element::Bf16, 1) else { return };
    for (how, ..) in FAULTS.into_iter().filter(|&(how, ..)| how != 9) {
        assert!(run(&mut device, how).is_err());
        run(&mut device, 0).unwrap();
    }
}

#[test]
fn sanitizers_find_reads_and_writes_outside() {
    for (how, said) in FAULTS
        .into_iter()
        .map(|(how, checked, said)| (how, if said.is_empty() { checked } else { said }))
        .chain([(8, "heap-buffer-overflow"), (10, "heap-buffer-overflow")])
    {
        let Some(mut device) = testing::sanitized_device(Element::Bf16, 2) else { return };
        let message = run(&mut device, how).map_or_else(|e| e.to_string(), |()| "nothing".into());
        assert!(message.contains(said), "fault {how}: {message}");
    }
}

#[test]
fn nobody_waits_for_threads_that_have_ended() {
    for (seed, threads) in (0..4).flat_map(|seed| [1, 5, 32, 33, 63, 64].map(|threads| (seed, threads))) {
        let Some(mut device) = testing::device(Element::Bf16, seed) else { return };
        device.compile_text("faults.cu", &text()).unwrap();
        let y = device.room::<f32>(64);
        device.call("early", [1, 1, 1], 64, 256, &Faulty { y: Ptr::at(y), how: threads, reserved: 0 }).unwrap();
        let values = device.values::<f32>(y, 64);
        for (t, &value) in values.iter().enumerate() {
            if t < threads as usize {
                assert_eq!(value, (threads as usize - 1 - t / 32 * 32) as f32, "thread {t} of {threads}");
            } else {
                assert!(value.is_nan());
            }
        }
    }
}
