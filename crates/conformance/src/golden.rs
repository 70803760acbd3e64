//! Goldens: what PyTorch says, kept in small files under the repository's `golden/`, each beside the script that made it.
//!
//! A golden holds values in f64 and, of each, a *noise*: how far roundings of f32 may carry a correct engine, computed by the
//! script from a model of rounding (`golden/roundoff.py`). Tensors of millions of elements are kept as a [`Digest`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use net::random::{Purpose, Stream};
use safetensors::{Dtype, SafeTensors};

/// Why a golden could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("{}: {source}", file.display())]
    Io {
        /// The golden's file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not what a golden's script writes.
    #[error("{}: {message}", file.display())]
    Form {
        /// The golden's file.
        file: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}

/// The values of a golden's tensor, in the type that they are kept in.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// What an engine is given.
    F32(Vec<f32>),
    /// What it is held against.
    F64(Vec<f64>),
    /// Labels, positions, words.
    I64(Vec<i64>),
}

impl Values {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Values::F32(values) => values.len(),
            Values::F64(values) => values.len(),
            Values::I64(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All values as f64; integers of a golden are far below 2⁵³.
    pub fn to_f64(&self) -> Vec<f64> {
        match self {
            Values::F32(values) => values.iter().map(|&x| f64::from(x)).collect(),
            Values::F64(values) => values.clone(),
            Values::I64(values) => values.iter().map(|&x| x as f64).collect(),
        }
    }
}

/// One case: named tensors, and the facts under which they arose.
#[derive(Debug, Clone)]
pub struct Golden {
    file: PathBuf,
    facts: serde_json::Value,
    tensors: BTreeMap<String, (Vec<usize>, Values)>,
}

/// The repository's folder of goldens.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden")
}

impl Golden {
    /// Reads `case.safetensors` in a case's folder.
    ///
    /// # Errors
    /// Where the file is missing or not a golden.
    pub fn read(case: &Path) -> Result<Golden, Error> {
        let file = case.join("case.safetensors");
        let bytes = std::fs::read(&file).map_err(|source| Error::Io { file: file.clone(), source })?;
        let form = |message: String| Error::Form { file: file.clone(), message };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| form(e.to_string()))?;
        let text = header.metadata().as_ref().and_then(|m| m.get("case")).ok_or_else(|| form("no facts".into()))?;
        let facts = serde_json::from_str(text).map_err(|e| form(e.to_string()))?;
        let views = SafeTensors::deserialize(&bytes).map_err(|e| form(e.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in views.iter() {
            let values = match view.dtype() {
                Dtype::F32 => Values::F32(numbers(view.data(), f32::from_le_bytes)),
                Dtype::F64 => Values::F64(numbers(view.data(), f64::from_le_bytes)),
                Dtype::I64 => Values::I64(numbers(view.data(), i64::from_le_bytes)),
                other => return Err(form(format!("tensor `{name}` is {other:?}"))),
            };
            tensors.insert(name.to_owned(), (view.shape().to_vec(), values));
        }
        Ok(Golden { file, facts, tensors })
    }

    /// What the script noted: seed, nets, rates.
    pub fn facts(&self) -> &serde_json::Value {
        &self.facts
    }

    /// The names of all tensors, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Shape and values of a tensor.
    ///
    /// # Errors
    /// Where there is none of this name.
    pub fn tensor(&self, name: &str) -> Result<(&[usize], &Values), Error> {
        match self.tensors.get(name) {
            Some((shape, values)) => Ok((shape, values)),
            None => Err(self.form(format!("no tensor `{name}`"))),
        }
    }

    /// The values of a tensor, widened.
    ///
    /// # Errors
    /// Where there is none of this name.
    pub fn f64(&self, name: &str) -> Result<Vec<f64>, Error> {
        Ok(self.tensor(name)?.1.to_f64())
    }

    /// The values of a tensor that engines are given.
    ///
    /// # Errors
    /// Where there is none of this name, or it is not f32.
    pub fn f32(&self, name: &str) -> Result<&[f32], Error> {
        match self.tensor(name)?.1 {
            Values::F32(values) => Ok(values),
            _ => Err(self.form(format!("tensor `{name}` is not f32"))),
        }
    }

    fn form(&self, message: String) -> Error {
        Error::Form { file: self.file.clone(), message }
    }
}

fn numbers<T, const N: usize>(bytes: &[u8], from: fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|&chunk| from(chunk)).collect()
}

/// Vectors of signs in a digest.
const SIGNS: usize = 8;
/// Elements in a digest.
const SAMPLES: usize = 256;
/// What [`Purpose::Test`] numbers of a digest are for.
const SIGNS_LAYER: u32 = 2;
const SAMPLES_LAYER: u32 = 3;

/// What is kept of a tensor of any size: norm, sum, eight inner products with addressed random ±1 vectors, and 256 elements at
/// addressed positions. Two tensors at L2 distance d have inner products more than 6d apart with a probability of
/// 2·exp(−18) (Hoeffding), and unlike a sample they notice every element.
#[derive(Debug, Clone, PartialEq)]
pub struct Digest {
    /// Number of elements of the tensor.
    len: usize,
    norm: f64,
    sum: f64,
    products: [f64; SIGNS],
    samples: Vec<f64>,
}

impl Digest {
    /// Of the `len` elements `at(0)`, `at(1)`, …, with signs and positions at `(seed, address)`.
    pub fn of(len: usize, at: impl Fn(usize) -> f64, address: u32, seed: u64) -> Digest {
        let stream = |layer| Stream::new(seed, Purpose::Test, layer, 0, address);
        let signs = stream(SIGNS_LAYER);
        let (mut squares, mut sum, mut products) = (0.0, 0.0, [0.0; SIGNS]);
        // Sums of sums, so that the roundoff of millions of additions stays far below what a golden grants.
        const BLOCK: usize = 4096;
        for begin in (0..len).step_by(BLOCK) {
            let (mut block_squares, mut block_sum, mut block_products) = (0.0, 0.0, [0.0; SIGNS]);
            for sixteen in (begin..len.min(begin + BLOCK)).step_by(16) {
                let words = signs.block((sixteen / 16) as u32);
                for e in sixteen..len.min(sixteen + 16) {
                    let x = at(e);
                    block_squares += x * x;
                    block_sum += x;
                    let octet = u64::from(words[e % 16 / 4] >> (e % 4 * 8));
                    for (j, product) in block_products.iter_mut().enumerate() {
                        *product += f64::from_bits(x.to_bits() ^ (octet >> j & 1) << 63);
                    }
                }
            }
            squares += block_squares;
            sum += block_sum;
            products.iter_mut().zip(block_products).for_each(|(total, block)| *total += block);
        }
        let positions = stream(SAMPLES_LAYER);
        let samples = (0..SAMPLES as u32).map(|e| at(positions.below(e, len as u32) as usize)).collect();
        Digest { len, norm: squares.sqrt(), sum, products, samples }
    }

    /// A digest as a golden keeps it, of a tensor of `len` elements; `None` where it is not one.
    pub fn parse(len: usize, kept: &[f64]) -> Option<Digest> {
        let (&[norm, sum], rest) = kept.split_first_chunk()?;
        let (&products, samples) = rest.split_first_chunk()?;
        (samples.len() == SAMPLES).then(|| Digest { len, norm, sum, products, samples: samples.to_vec() })
    }

    /// The L2 norm of the tensor.
    pub fn norm(&self) -> f64 {
        self.norm
    }

    /// Every way in which the tensors behind two digests are seen to be more than `distance` apart in the L2 norm.
    ///
    /// The norm may differ by `distance`, the sum by √N times it (Cauchy and Schwarz), an inner product by 6 times it
    /// (Hoeffding), and the samples by an RMS of 8·distance/√N (Markov: a tensor at the full distance fails with a
    /// probability of at most 1/64; the samples are there to say where). To each is added the roundoff of the digest itself.
    pub fn differences(&self, golden: &Digest, distance: f64) -> Vec<String> {
        assert_eq!(self.len, golden.len, "digests of different tensors");
        let root = (self.len as f64).sqrt();
        let distance = distance + f64::EPSILON * root * golden.norm;
        let mut found = Vec::new();
        let mut check = |what: &str, got: f64, expected: f64, bound: f64| {
            let by = (got - expected).abs();
            if by.is_nan() || by > bound {
                found.push(format!("{what}: expected {expected:e}, got {got:e}, apart by {by:e}, granted {bound:e}"));
            }
        };
        check("norm", self.norm, golden.norm, distance);
        check("sum", self.sum, golden.sum, root * distance);
        for (j, (&got, &expected)) in self.products.iter().zip(&golden.products).enumerate() {
            check(&format!("inner product {j}"), got, expected, 6.0 * distance);
        }
        let apart: Vec<f64> = self.samples.iter().zip(&golden.samples).map(|(a, b)| (a - b).abs()).collect();
        let rms = (apart.iter().map(|d| d * d).sum::<f64>() / SAMPLES as f64).sqrt();
        check("RMS of the samples' differences", rms, 0.0, 8.0 * distance / root);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_notices_one_wrong_element_an_exchange_and_nan() {
        let value = |e: usize| ((e * 7919 % 1009) as f64 - 504.0) / 1009.0;
        let len = 10_000;
        let golden = Digest::of(len, value, 3, 11);
        let differences = |at: &dyn Fn(usize) -> f64| Digest::of(len, at, 3, 11).differences(&golden, 1e-6);
        assert_eq!(differences(&value), Vec::<String>::new());
        let wrong = differences(&|e| value(e) + if e == 5003 { 1e-4 } else { 0.0 });
        // At least all eight inner products, each at a distance of 1e-4 against 6e-6.
        assert!(wrong.iter().filter(|line| line.contains("product")).count() == SIGNS, "{wrong:?}");
        assert!(!differences(&|e| value(if e < 2 { 1 - e } else { e })).is_empty(), "exchanged neighbours");
        assert!(!differences(&|e| if e == 17 { f64::NAN } else { value(e) }).is_empty());
        assert!(!differences(&|_| 0.0).is_empty());
    }

    #[test]
    fn a_digest_is_parsed_only_from_its_own_length() {
        assert!(Digest::parse(5, &[0.0; 266]).is_some());
        assert!(Digest::parse(5, &[0.0; 265]).is_none());
        assert!(Digest::parse(5, &[]).is_none());
    }
}
