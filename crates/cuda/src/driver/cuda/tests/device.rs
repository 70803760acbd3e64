//! Memory, copies, events, kernels, and a GPU that is lost.

use std::fs;

use net::Error;

use super::stub::Stub;
use crate::driver::cuda::compile::Source;
use crate::driver::cuda::{Device, Settings};
use crate::driver::{Driver, Event, Launch, Pinned, Queue, Recording};
use crate::kernels::{self, Element};

/// Two kernels, of which the stand-in understands the names and the sizes of their arguments.
const TEXT: &str = "#include \"args.cuh\"\nstruct Add {};\nstatic_assert(sizeof(Add) == 12, \"\");\n\
                    KERNEL(add, Add, 128) {}\nKERNEL(walk, Step, 256) {}\n";

pub(super) fn load(device: &mut Device, name: &'static str, text: &str) -> net::Result<()> {
    device.load(name, Source { name, text, headers: &kernels::headers() })
}

/// A device with the kernels above, and what it was asked so far forgotten.
pub(super) fn with_kernels(stub: &Stub) -> Device {
    let mut device = stub.open();
    load(&mut device, "test.cu", TEXT).expect("it compiles");
    stub.log();
    device
}

pub(super) fn add(shared: u32) -> Launch {
    Launch { kernel: "add", grid: [3, 2, 1], threads: 128, shared, args: (0..12).collect() }
}

#[test]
fn it_is_taken_and_given_back_in_order() {
    let Some(stub) = Stub::new(&[]) else { return };
    let mut device = stub.open();
    assert_eq!((device.name().as_str(), device.gpu().multiprocessors), ("Stub 0", 132));
    let opened = ["cuInit 0", "cuDeviceGetName 0", "cuDevicePrimaryCtxRetain 0", "cuStreamCreate 1", "cuStreamCreate 1"];
    assert_eq!(stub.log(), opened);
    device.memory(100).unwrap();
    device.pinned(50).unwrap();
    device.event().unwrap();
    load(&mut device, "test.cu", TEXT).unwrap();
    device.begin_recording().unwrap();
    device.launch(&add(0)).unwrap();
    device.end_recording().unwrap();
    stub.log();
    drop(device);
    let given_back = [
        "cuStreamSynchronize stream 0",
        "cuStreamSynchronize stream 1",
        "cuGraphExecDestroy",
        "cuEventDestroy_v2 event 0",
        "cuModuleUnload add",
        "cuStreamDestroy_v2 stream 0, 0 undone",
        "cuStreamDestroy_v2 stream 1, 0 undone",
        "cuMemFreeHost",
        "cuMemFree_v2",
        "cuDevicePrimaryCtxRelease_v2 0; left: 0 streams, 0 events, 0 graphs, 0 modules, 0 memory, 0 host",
    ];
    assert_eq!(stub.log(), given_back);
}

#[test]
fn what_was_begun_is_given_back_where_the_rest_fails() {
    let Some(stub) = Stub::new(&[]) else { return };
    stub.fail("cuStreamCreate", 2);
    let refused = Device::open(&stub.settings()).err().unwrap().to_string();
    assert_eq!(refused, "cuda engine: cuStreamCreate: CUDA_ERROR_OUT_OF_MEMORY (out of memory)");
    assert!(stub.log().last().unwrap().starts_with("cuDevicePrimaryCtxRelease_v2 0; left: 0 streams"));
}

#[test]
fn too_little_memory_says_how_much_there_is() {
    let Some(stub) = Stub::new(&["-DMEMORY=(1ull<<33)"]) else { return };
    let mut device = stub.open();
    let first = device.memory(1 << 20).unwrap();
    assert_ne!(device.memory(0).unwrap(), first);
    assert_eq!(device.free_memory().unwrap(), (1 << 33) - (1 << 20) - 1);
    let refused = device.memory((1 << 33) + 1).unwrap_err();
    let expected = "cuda engine: too little memory on the GPU: 8193 MiB are asked for, 8190 MiB of 8192 MiB are free";
    assert_eq!((refused.to_string().as_str(), refused.is_lost()), (expected, false));
    assert!(device.memory(1 << 10).is_ok(), "it goes on");
    stub.fail("cuMemHostAlloc", 2);
    assert!(device.pinned(10).unwrap_err().to_string().contains("cuMemHostAlloc: CUDA_ERROR_OUT_OF_MEMORY"));
}

#[test]
fn bytes_go_up_and_come_down() {
    let Some(stub) = Stub::new(&[]) else { return };
    let mut device = stub.open();
    let at = device.memory(64).unwrap();
    let bytes: Vec<u8> = (0..64).collect();
    device.upload(&bytes, at).unwrap();
    let mut back = [0; 32];
    device.download(at + 16, &mut back).unwrap();
    assert_eq!(back, bytes[16..48]);
    device.zero(at, 20).unwrap();
    device.download(at + 16, &mut back).unwrap();
    assert_eq!((&back[..4], &back[4..]), (&[0; 4][..], &bytes[20..48]), "after everything on the queue");
    device.upload(&[], at).unwrap();
    stub.log();
    // Bytes that are being copied are not given back before the queue is done, not even where that goes wrong.
    stub.fail("cuMemcpyHtoDAsync_v2", 1);
    assert!(device.upload(&bytes, at).unwrap_err().to_string().contains("CUDA_ERROR_INVALID_VALUE (invalid argument)"));
    assert_eq!(stub.log(), ["cuMemcpyHtoDAsync_v2 64, stream 0", "cuStreamSynchronize stream 0"]);
}

#[test]
fn copies_wait_for_nobody_and_events_tell() {
    let Some(stub) = Stub::new(&[]) else { return };
    let mut device = stub.open();
    let at = device.memory(16).unwrap();
    let (from, to) = (device.pinned(16).unwrap(), device.pinned(8).unwrap());
    assert_eq!(device.bytes(to).len(), 8);
    assert_eq!(device.bytes(from), [0; 16]);
    device.bytes(from).copy_from_slice(b"sixteen letters!");
    let (copied, computed) = (device.event().unwrap(), device.event().unwrap());
    assert!(device.is_done(copied).unwrap(), "an event that was not recorded has come to pass");
    device.copy_in(from, at, 16, Queue::Copy).unwrap();
    device.record(copied, Queue::Copy).unwrap();
    device.wait(Queue::Compute, copied).unwrap();
    device.copy_out(at + 8, to, 8, Queue::Compute).unwrap();
    device.record(computed, Queue::Compute).unwrap();
    assert!(!device.is_done(copied).unwrap() && !device.is_done(computed).unwrap());
    assert_eq!(device.bytes(to), [0; 8]);
    // The second queue waits for the first.
    device.block_on(computed).unwrap();
    assert!(device.is_done(copied).unwrap() && device.is_done(computed).unwrap());
    assert_eq!(device.bytes(to), b"letters!");
    let log = stub.log();
    let copies: Vec<&String> = log.iter().filter(|line| line.contains("Async") || line.contains("Wait")).collect();
    let expected =
        ["cuMemcpyHtoDAsync_v2 16, stream 1", "cuStreamWaitEvent stream 0, event 0, 0", "cuMemcpyDtoHAsync_v2 8, stream 0"];
    assert_eq!(copies, expected);
    assert_eq!(log.iter().filter(|line| *line == "cuEventCreate 2").count(), 2, "they take no time");
}

#[test]
fn what_is_not_there_is_refused() {
    let Some(stub) = Stub::new(&[]) else { return };
    let mut device = stub.open();
    let at = device.memory(16).unwrap();
    let pinned = device.pinned(8).unwrap();
    let text = |result: net::Result<()>| result.expect_err("it is refused").to_string();
    assert_eq!(text(device.zero(at + 8, 9)), format!("cuda engine: 9 bytes at {:#x}, which are not the engine's", at + 8));
    for (place, len) in [(at - 1, 4), (at, 17), (at + 17, 0), (u64::MAX, 2), (0, 1), (at, u64::MAX)] {
        assert!(device.zero(place, len).is_err(), "{place:#x} {len}");
    }
    assert!(device.upload(&[0; 17], at).is_err() && device.download(at + 1, &mut [0; 16]).is_err());
    assert!(device.copy_in(pinned, at + 9, 8, Queue::Copy).is_err() && device.copy_out(at + 9, pinned, 8, Queue::Copy).is_err());
    assert_eq!(text(device.copy_in(pinned, at, 9, Queue::Copy)), "cuda engine: 9 bytes of pinned memory that has 8");
    assert!(device.copy_out(at, Pinned(1), 1, Queue::Copy).is_err());
    assert_eq!(text(device.record(Event(0), Queue::Copy)), "cuda engine: there is no event 0");
    assert_eq!(text(device.compile("nothing.cu")), "cuda engine: there is no source `nothing.cu`");
    assert!(stub.log().iter().all(|line| !line.contains("Async")));
}

#[test]
fn kernels_are_compiled_and_called() {
    let Some(stub) = Stub::new(&[]) else { return };
    let settings = Settings { element: Element::Bf16, ..stub.settings() };
    let mut device = Device::open(&settings).unwrap();
    stub.log();
    load(&mut device, "test.cu", TEXT).unwrap();
    let compiled = stub.compiled();
    assert!(compiled[0].starts_with("create test.cu with device.cuh") && compiled[0].ends_with(" args.cuh"), "{compiled:?}");
    assert_eq!(
        compiled[1..],
        ["compile --gpu-architecture=sm_90a --std=c++17 --device-as-default-execution-space --define-macro=ELEM=1", "destroy"]
    );
    assert_eq!(stub.log(), ["cuModuleLoadData", "cuFuncLoad add", "cuFuncLoad walk"]);
    device.launch(&add(48 << 10)).unwrap();
    device.launch(&add(100_000)).unwrap();
    device.launch(&add(80_000)).unwrap();
    let launches = [
        "cuLaunchKernel add, 3 2 1, 128 1 1, 49152, stream 0",
        "cuFuncSetAttribute add, 8, 100000",
        "cuLaunchKernel add, 3 2 1, 128 1 1, 100000, stream 0",
        "cuLaunchKernel add, 3 2 1, 128 1 1, 80000, stream 0",
    ];
    assert_eq!(stub.log(), launches);
    device.download(0, &mut []).unwrap_err();
    let at = device.memory(1).unwrap();
    device.download(at, &mut [0]).unwrap();
    assert!(stub.log().contains(&"  runs add 00010203 04050607 08090a0b".into()), "the argument's bytes");
    let text = |launch: Launch, device: &mut Device| device.launch(&launch).expect_err("it is refused").to_string();
    let unknown = text(Launch { kernel: "sub", ..add(0) }, &mut device);
    assert_eq!(unknown, "cuda engine: no source that was compiled has the kernel `sub`");
    let longer = text(Launch { args: vec![0; 13], ..add(0) }, &mut device);
    assert_eq!(longer, "cuda engine: `add` is called with 13 bytes and reads 12");
    let much = text(add(300_000), &mut device);
    assert_eq!(much, "cuda engine: `add` needs 300000 bytes of shared memory, 232448 can be");
    let wide = text(Launch { threads: 2048, ..add(0) }, &mut device);
    let called = "cuLaunchKernel of `add`, 3 × 2 × 1 blocks of 2048 threads";
    assert_eq!(wide, format!("cuda engine: {called}: CUDA_ERROR_INVALID_VALUE (invalid argument)"));
    let twice = load(&mut device, "other.cu", "KERNEL(add, Step, 1) {}").unwrap_err().to_string();
    assert_eq!(twice, "cuda engine: two kernels are called `add`");
}

#[test]
fn a_text_that_does_not_compile_comes_with_the_compilers_words() {
    let Some(stub) = Stub::new(&[]) else { return };
    let refused = load(&mut stub.open(), "wrong.cu", "#error no").unwrap_err().to_string();
    let options = "--gpu-architecture=sm_90a --std=c++17 --device-as-default-execution-space --define-macro=ELEM=0";
    let expected = format!(
        "cuda engine: wrong.cu does not compile with {options}: NVRTC_ERROR_COMPILATION\nx.cu(1): error: #error directive: no\n\n\
         1 error detected"
    );
    assert_eq!(refused, expected);
}

#[test]
fn a_text_is_compiled_once() {
    let Some(stub) = Stub::new(&[]) else { return };
    let settings = Settings { cache: Some(stub.path("cache")), ..stub.settings() };
    let compiles = || stub.compiled().iter().filter(|line| line.starts_with("compile")).count();
    let text = |n: u32| format!("// Once, {n}.\nKERNEL(once, Step, 1) {{}}");
    let [mut first, mut second] = [0, 1].map(|_| Device::open(&settings).unwrap());
    load(&mut first, "once.cu", &text(1)).unwrap();
    load(&mut second, "once.cu", &text(1)).unwrap();
    assert_eq!(compiles(), 1, "kept for the process");
    load(&mut Device::open(&Settings { element: Element::F16, ..settings.clone() }).unwrap(), "once.cu", &text(1)).unwrap();
    load(&mut Device::open(&settings).unwrap(), "once.cu", &text(2)).unwrap();
    assert_eq!(compiles(), 2, "another type, and another text");
    // Another process has only the folder.
    let (headers, text) = (kernels::headers(), text(1));
    let source = Source { name: "once.cu", text: &text, headers: &headers };
    let stored = || first.compiler.stored(&first.compiler.key(source), source).unwrap();
    let cubin = stored();
    assert_eq!((compiles(), &cubin), (0, &*first.compiler.cubin(source).unwrap()));
    let files = || fs::read_dir(stub.path("cache")).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    assert_eq!(files().len(), 3);
    files().iter().for_each(|file| fs::write(file, "damaged").unwrap());
    assert_eq!((stored(), compiles()), (cubin.clone(), 1));
    assert_eq!((stored(), compiles()), (cubin, 0), "written again");
}

#[test]
fn a_gpu_that_is_lost_is_known_for_it() {
    let Some(stub) = Stub::new(&[]) else { return };
    let mut device = with_kernels(&stub);
    let (at, event) = (device.memory(16).unwrap(), device.event().unwrap());
    device.launch(&add(0)).unwrap();
    device.record(event, Queue::Compute).unwrap();
    stub.fail("cuEventSynchronize", 719);
    let lost = device.block_on(event).unwrap_err();
    let said = "cuda engine: the GPU was lost: cuEventSynchronize: CUDA_ERROR_LAUNCH_FAILED (unspecified launch failure)";
    assert_eq!((lost.to_string().as_str(), lost.is_lost()), (said, true));
    stub.lose(214);
    let all: Vec<Error> = [
        device.block_on(event),
        device.is_done(event).map(|_| ()),
        device.launch(&add(0)),
        device.upload(&[1], at),
        device.download(at, &mut [0]),
        device.zero(at, 1),
        device.memory(1).map(|_| ()),
        device.begin_recording(),
    ]
    .map(|result| result.expect_err("it is lost"))
    .into();
    for error in all {
        let text = error.to_string();
        assert!(
            error.is_lost() && text.ends_with("CUDA_ERROR_ECC_UNCORRECTABLE (uncorrectable ECC error encountered)"),
            "{text}"
        );
    }
    stub.log();
    drop(device);
    let log = stub.log();
    assert!(log.iter().all(|line| !line.contains("Free") && !line.contains("Destroy")), "nothing is freed twice over: {log:?}");
    assert!(log.last().unwrap().starts_with("cuDevicePrimaryCtxRelease_v2 0"), "{log:?}");
}

/// What is done on a device.
type Deed = fn(&mut Device, u64) -> net::Result<()>;

#[test]
fn everything_works_from_any_thread() {
    let Some(stub) = Stub::new(&[]) else { return };
    let mut device = with_kernels(&stub);
    let at = device.memory(4).unwrap();
    let (pinned, event) = (device.pinned(4).unwrap(), device.event().unwrap());
    assert_eq!((pinned.0, event.0), (0, 0));
    let deeds: [Deed; 18] = [
        |device, at| device.upload(&[1, 2, 3, 4], at),
        |device, _| device.launch(&add(60_000)),
        |device, at| device.copy_out(at, Pinned(0), 4, Queue::Compute),
        |device, _| device.record(Event(0), Queue::Compute),
        |device, _| device.is_done(Event(0)).map(|_| ()),
        |device, _| device.wait(Queue::Copy, Event(0)),
        |device, _| device.block_on(Event(0)),
        |device, at| device.zero(at, 1),
        |device, at| device.copy_in(Pinned(0), at, 2, Queue::Copy),
        |device, at| device.download(at, &mut [0; 4]),
        |device, _| device.memory(1).map(|_| ()),
        |device, _| device.free_memory().map(|_| ()),
        |device, _| device.pinned(1).map(|_| ()),
        |device, _| device.event().map(|_| ()),
        |device, _| load(device, "more.cu", "KERNEL(more, Step, 1) {}"),
        |device, _| device.begin_recording(),
        |device, _| device.end_recording().map(|_| ()),
        |device, _| device.replay(Recording(0)),
    ];
    for (number, deed) in deeds.into_iter().enumerate() {
        // A new thread has no current context.
        let done = std::thread::scope(|scope| scope.spawn(|| deed(&mut device, at)).join()).unwrap();
        assert!(done.is_ok(), "deed {number}: {done:?}");
    }
    assert_eq!(device.bytes(pinned), [1, 2, 3, 4]);
    std::thread::spawn(move || drop(device)).join().unwrap();
    let last = stub.log().pop().unwrap();
    assert!(last.ends_with("left: 0 streams, 0 events, 0 graphs, 0 modules, 0 memory, 0 host"), "{last}");
}

#[test]
fn two_devices_of_a_process_share_the_gpu() {
    let Some(stub) = Stub::new(&["-DMEMORY=1000"]) else { return };
    let (mut first, mut second) = (stub.open(), stub.open());
    let at = first.memory(600).unwrap();
    assert!(second.memory(600).unwrap_err().to_string().contains("too little memory on the GPU"));
    assert!(second.zero(at, 1).is_err(), "memory is that of one of them");
    drop(first);
    assert!(second.memory(600).is_ok());
}
