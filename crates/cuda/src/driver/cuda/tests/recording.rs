//! Recorded work.

use super::device::{add, with_kernels};
use super::stub::Stub;
use crate::driver::{Driver, Queue, Recording};

#[test]
fn a_recording_is_one_call() {
    let Some(stub) = Stub::new(&[]) else { return };
    let mut device = with_kernels(&stub);
    let at = device.memory(8).unwrap();
    let (from, to) = (device.pinned(8).unwrap(), device.pinned(8).unwrap());
    stub.log();
    device.begin_recording().unwrap();
    device.copy_in(from, at, 8, Queue::Compute).unwrap();
    device.zero(at, 2).unwrap();
    device.launch(&add(0)).unwrap();
    device.copy_out(at, to, 8, Queue::Compute).unwrap();
    let recording = device.end_recording().unwrap();
    let recorded = [
        "cuStreamBeginCapture_v2 stream 0, 2",
        "cuMemcpyHtoDAsync_v2 8, stream 0",
        "cuMemsetD8Async 0 × 2, stream 0",
        "cuLaunchKernel add, 3 2 1, 128 1 1, 0, stream 0",
        "cuMemcpyDtoHAsync_v2 8, stream 0",
        "cuStreamEndCapture stream 0",
        "cuGraphInstantiateWithFlags 4 nodes, 0",
        "cuGraphDestroy",
        "cuGraphUpload 4 nodes, stream 0",
    ];
    assert_eq!(stub.log(), recorded, "and nothing of it has run");
    let done = device.event().unwrap();
    for bytes in [b"recorded", b"replayed"] {
        device.bytes(from).copy_from_slice(bytes);
        stub.log();
        device.replay(recording).unwrap();
        device.record(done, Queue::Compute).unwrap();
        device.block_on(done).unwrap();
        let expected = [
            "cuGraphLaunch 4 nodes, stream 0",
            "cuEventRecord event 0, stream 0",
            "cuEventSynchronize event 0",
            "  runs add 00010203 04050607 08090a0b",
        ];
        assert_eq!(stub.log(), expected);
        let expected = [&[0, 0], &bytes[2..]].concat();
        assert_eq!(device.bytes(to), expected);
    }
}

#[test]
fn recordings_do_not_hold_everything() {
    let Some(stub) = Stub::new(&[]) else { return };
    let mut device = with_kernels(&stub);
    let (at, event) = (device.memory(8).unwrap(), device.event().unwrap());
    let pinned = device.pinned(8).unwrap();
    let text = |result: net::Result<()>| result.expect_err("it is refused").to_string();
    assert_eq!(text(device.end_recording().map(|_| ())), "cuda engine: no work is being recorded");
    assert_eq!(text(device.replay(Recording(0))), "cuda engine: there is no recording 0");
    device.begin_recording().unwrap();
    let while_recorded = |what: &str| format!("cuda engine: {what} while work is recorded");
    assert_eq!(text(device.begin_recording()), while_recorded("a recording is begun"));
    assert_eq!(text(device.replay(Recording(0))), while_recorded("a recording is run"));
    assert_eq!(text(device.upload(&[1], at)), while_recorded("bytes are uploaded"));
    assert_eq!(text(device.download(at, &mut [1])), while_recorded("bytes are downloaded"));
    assert_eq!(text(device.record(event, Queue::Compute)), while_recorded("an event is recorded"));
    assert_eq!(text(device.wait(Queue::Compute, event)), while_recorded("an event is waited for"));
    // The other queue goes on as ever.
    device.copy_in(pinned, at, 8, Queue::Copy).unwrap();
    device.record(event, Queue::Copy).unwrap();
    device.wait(Queue::Copy, event).unwrap();
    device.block_on(event).unwrap();
    device.launch(&add(0)).unwrap();
    let recording = device.end_recording().unwrap();
    device.replay(recording).unwrap();
    assert!(stub.log().contains(&"cuGraphLaunch 1 nodes, stream 0".into()));
}

#[test]
fn a_recording_that_fails_leaves_the_device_usable() {
    let Some(stub) = Stub::new(&[]) else { return };
    let mut device = with_kernels(&stub);
    device.begin_recording().unwrap();
    device.launch(&add(0)).unwrap();
    stub.fail("cuStreamEndCapture", 901);
    let refused = device.end_recording().unwrap_err().to_string();
    let expected = "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED (operation failed due to a previous error during capture)";
    assert_eq!(refused, format!("cuda engine: cuStreamEndCapture: {expected}"));
    for failing in ["cuGraphInstantiateWithFlags", "cuGraphUpload"] {
        device.begin_recording().unwrap();
        stub.fail(failing, 2);
        assert!(device.end_recording().unwrap_err().to_string().contains(failing));
    }
    device.begin_recording().unwrap();
    assert_eq!(device.end_recording().unwrap(), Recording(0));
    device.begin_recording().unwrap();
    stub.log();
    drop(device);
    let log = stub.log();
    assert_eq!(log[..3], ["cuStreamEndCapture stream 0", "cuGraphDestroy", "cuStreamSynchronize stream 0"], "{log:?}");
    assert!(log.last().unwrap().contains("0 graphs"), "{log:?}");
}
