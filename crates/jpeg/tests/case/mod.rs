//! Reading the golden, and numbers drawn for tests.

#![allow(dead_code)]

use std::path::PathBuf;

use safetensors::SafeTensors;

/// `golden/jpeg-decode`.
pub(crate) struct Golden(Vec<u8>);

/// Pixels that libjpeg-turbo made.
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    rgb: Vec<u8>,
}

impl Golden {
    pub(crate) fn read() -> Golden {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../golden/jpeg-decode/case.safetensors");
        Golden(std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.0).expect("a golden")
    }

    /// All files with their names, in the order of these.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let tensors = self.tensors();
        let mut names: Vec<&str> = tensors.names().into_iter().filter_map(|n| n.strip_prefix("file/")).collect();
        names.sort_unstable();
        names.into_iter().map(|name| (name.to_string(), self.file(name))).collect()
    }

    pub(crate) fn file(&self, name: &str) -> Vec<u8> {
        self.tensors().tensor(&format!("file/{name}")).expect("a file of the golden").data().to_vec()
    }

    pub(crate) fn picture(&self, name: &str, scale: usize) -> Option<Picture> {
        let tensors = self.tensors();
        let tensor = tensors.tensor(&format!("rgb/{name}/{scale}")).ok()?;
        let &[height, width, 3] = tensor.shape() else { panic!("{name}: shape {:?}", tensor.shape()) };
        Some(Picture { width, height, rgb: tensor.data().to_vec() })
    }
}

impl Picture {
    /// The largest difference and where it is, if there is any.
    pub(crate) fn difference(&self, ours: &[u8]) -> Option<String> {
        assert_eq!(ours.len(), self.rgb.len());
        let differences = ours.iter().zip(&self.rgb).map(|(a, b)| a.abs_diff(*b));
        let count = differences.clone().filter(|&d| d > 0).count();
        let (at, worst) = differences.enumerate().max_by_key(|(_, d)| *d)?;
        let (y, x, c) = (at / (3 * self.width), at / 3 % self.width, at % 3);
        let (ours, theirs) = (ours[at], self.rgb[at]);
        (worst > 0).then(|| format!("{count} values differ, row {y}, column {x}, channel {c} most: {ours}, not {theirs}"))
    }
}

/// Splitmix: numbers that only look random.
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}
