use super::*;
use crate::args::macros::args;
use crate::args::{Floats, Ptr};

args! {
    struct Scale {
        x: Floats,
        count: u32,
        by: f32,
    }
}

const TEXT: &str = "KERNEL(scale, Scale, 128) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < a.count) a.x[i] *= a.by;
}";

fn device() -> Option<Emulated> {
    let mut device = testing::device(Element::F32, 0)?;
    device.compile_text("scale.cu", &source(&[Scale::C], "", TEXT)).unwrap();
    Some(device)
}

fn scale(x: u64, count: u32, by: f32) -> Launch {
    let args = Scale { x: Ptr::at(x), count, by };
    Launch { kernel: "scale", grid: [count.div_ceil(128), 1, 1], threads: 128, shared: 0, args: args.bytes() }
}

#[test]
fn memory_is_not_a_number_before_it_is_written() {
    let Some(mut device) = device() else { return };
    let at = device.room::<f32>(100);
    assert_eq!(at % 256, 0);
    assert!(device.values::<f32>(at, 100).iter().all(|x| x.is_nan()));
    device.zero(at, 200).unwrap();
    assert!(device.values::<f32>(at, 50).iter().all(|&x| x == 0.0));
    assert!(device.values::<f32>(at + 200, 50).iter().all(|x| x.is_nan()));
}

#[test]
fn memory_ends() {
    let Some(mut device) = device().map(|device| device.with_capacity(1000)) else { return };
    device.memory(600).unwrap();
    assert_eq!(device.free_memory().unwrap(), 400);
    let message = device.memory(401).unwrap_err().to_string();
    assert!(message.contains("401 bytes of memory are asked for and 400 of 1000 are free"), "{message}");
    device.memory(400).unwrap();
}

#[test]
fn copies_keep_to_what_was_taken() {
    let Some(mut device) = device() else { return };
    let at = device.with(&[1.0_f32, 2.0, 3.0]);
    let pinned = device.pinned(8).unwrap();
    device.copy_out(at + 4, pinned, 8, Queue::Compute).unwrap();
    assert_eq!(device.bytes(pinned), [2.0_f32.to_ne_bytes(), 3.0_f32.to_ne_bytes()].concat());
    device.copy_in(pinned, at, 8, Queue::Copy).unwrap();
    assert_eq!(device.values::<f32>(at, 3), [2.0, 3.0, 3.0]);
    assert!(device.copy_out(at + 8, pinned, 8, Queue::Copy).is_err());
    assert!(device.copy_in(pinned, at, 9, Queue::Copy).is_err());
    assert!(device.upload(&[0; 13], at).is_err());
    assert!(device.download(at + 1, &mut [0; 12]).is_err());
    assert!(device.zero(at - 1, 1).is_err());
    assert!(device.zero(u64::MAX, 2).is_err());
}

#[test]
fn a_launch_must_fit_its_kernel() {
    let Some(mut device) = device() else { return };
    let x = device.with(&[1.0_f32; 4]);
    device.launch(&scale(x, 4, 2.0)).unwrap();
    assert_eq!(device.values::<f32>(x, 4), [2.0; 4]);
    type Change = (&'static str, fn(&mut Launch));
    let changes: [Change; 7] = [
        ("no compiled source has it", |launch| launch.kernel = "scales"),
        ("an argument of 15 bytes, not 16", |launch| launch.args.truncate(15)),
        ("129 threads, and not 1 to 128", |launch| launch.threads = 129),
        ("0 threads, and not 1 to 128", |launch| launch.threads = 0),
        ("232449 bytes of shared memory, more than 232448", |launch| launch.shared = 232_449),
        ("a grid of 0 by 1 by 1 blocks", |launch| launch.grid[0] = 0),
        ("a grid of 1 by 65536 by 1 blocks", |launch| launch.grid[1] = 65_536),
    ];
    for (said, change) in changes {
        let mut launch = scale(x, 4, 2.0);
        change(&mut launch);
        let message = device.launch(&launch).unwrap_err().to_string();
        assert!(message.contains(said), "{message}");
    }
}

#[test]
fn what_is_recorded_happens_when_it_is_replayed() {
    let Some(mut device) = device() else { return };
    let (x, y) = (device.with(&[3.0_f32; 200]), device.with(&[1.0_f32]));
    let pinned = device.pinned(4).unwrap();
    device.bytes(pinned).copy_from_slice(&5.0_f32.to_ne_bytes());
    let event = device.event().unwrap();
    device.begin_recording().unwrap();
    device.launch(&scale(x, 200, 2.0)).unwrap();
    device.copy_in(pinned, x, 4, Queue::Compute).unwrap();
    device.zero(x + 4, 4).unwrap();
    device.record(event, Queue::Compute).unwrap();
    assert!(device.download(x, &mut [0; 4]).is_err());
    assert!(device.memory(4).is_err());
    let recording = device.end_recording().unwrap();
    assert_eq!(device.values::<f32>(x, 200), [3.0; 200]);
    for times in [6.0, 12.0] {
        device.replay(recording).unwrap();
        assert_eq!(device.values::<f32>(x, 3), [5.0, 0.0, times]);
    }
    assert!(device.is_done(event).unwrap());
    assert!(device.end_recording().is_err());
    assert!(device.replay(Recording(7)).is_err());
    assert_eq!(device.values::<f32>(y, 1), [1.0]);
}

#[test]
fn what_does_not_compile_is_an_error_with_the_compilers_words() {
    let Some(mut device) = device() else { return };
    let message = device.compile_text("wrong.cu", "KERNEL(").unwrap_err().to_string();
    assert!(message.contains("g++ refuses wrong.cu") && message.contains("error:"), "{message}");
    assert!(device.compile("nothing.cu").is_err());
}

#[test]
fn processes_that_build_the_same_do_not_disturb_each_other() {
    let text = source(&[Scale::C], &format!("// {}", std::process::id()), TEXT);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let Some(mut device) = testing::device(Element::F32, 0) else { return };
                device.compile_text("scale.cu", &text).unwrap();
                let x = device.with(&[1.0_f32; 4]);
                device.launch(&scale(x, 4, 2.0)).unwrap();
            });
        }
    });
}
