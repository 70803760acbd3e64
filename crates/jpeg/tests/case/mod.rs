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

/// A sequential picture of noise whose components have these sampling factors, `[h, v]`: any size at all, for few bytes.
///
/// Its Huffman tables are such that all bits are codes. With `apart` every component comes in a scan of its own.
pub(crate) fn noise(width: u16, height: u16, factors: &[[u8; 2]], apart: bool) -> Vec<u8> {
    let most = |i: usize| factors.iter().map(|f| usize::from(f[i])).max().expect("a component");
    let units = usize::from(width).div_ceil(8 * most(0)) * usize::from(height).div_ceil(8 * most(1));
    let blocks = units * factors.iter().map(|f| usize::from(f[0]) * usize::from(f[1])).sum::<usize>();
    let mut file = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
    file.extend([9; 64]);
    // Mean values: 0 is no difference, 1 one of 5 bits. Others: 0 is the end, 10 a value of 2 bits, 11 three zeros and one of 3.
    let mut counts = [0; 16];
    counts[0] = 2;
    file.extend([&[0xff, 0xc4, 0, 21, 0][..], &counts, &[0, 5]].concat());
    counts[..2].copy_from_slice(&[1, 2]);
    file.extend([&[0xff, 0xc4, 0, 22, 0x10][..], &counts, &[0, 2, 0x33]].concat());
    let ([h1, h0], [w1, w0], count) = (height.to_be_bytes(), width.to_be_bytes(), factors.len() as u8);
    file.extend([0xff, 0xc0, 0, 8 + 3 * count, 8, h1, h0, w1, w0, count]);
    file.extend(factors.iter().zip(1..).flat_map(|([h, v], id)| [id, h << 4 | v, 0]));
    let mut draw = Draw(u64::from(width) << 16 | u64::from(height));
    let scans: Vec<Vec<u8>> = if apart { (1..=count).map(|id| vec![id]).collect() } else { vec![(1..=count).collect()] };
    for ids in scans {
        file.extend([0xff, 0xda, 0, 6 + 2 * ids.len() as u8, ids.len() as u8]);
        file.extend(ids.iter().flat_map(|&id| [id, 0]));
        file.extend([0, 63, 0]);
        // Two bytes a block are more than are used.
        file.extend((0..2 * blocks + 64).map(|_| draw.below(255) as u8));
    }
    file.extend([0xff, 0xd9]);
    file
}
