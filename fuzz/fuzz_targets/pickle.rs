#![no_main]

use weights::pickle::Pickle;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok((pickle, used)) = Pickle::read(bytes) else { return };
    assert!(used <= bytes.len() && pickle.len() <= bytes.len());
    let root = pickle.root();
    let _ = (root.noun(), root.pairs(), root.get("model_state"), root.as_bytes(), pickle.globals(), pickle.calls());
    if root.is_array() {
        let _ = root.array().map(|array| (array.to_f32(), array.to_f64(), array.integers()));
    }
});
