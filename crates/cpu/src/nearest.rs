//! The nearest of many vectors to a query, by Euclidean distance: every vector is looked at, none is left out.

use net::Result;

use crate::Isa;
use crate::executor::{fault, target, thread_count};
use crate::kernels::lanes::half;
use crate::kernels::{Target, nearest};
use crate::threads::Threads;

/// How a vector's values are kept: little-endian, end to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Four bytes each.
    F32,
    /// Two bytes each, IEEE 754 binary16.
    F16,
}

impl Values {
    /// Bytes of a value: 4 or 2.
    pub fn bytes(self) -> usize {
        match self {
            Values::F32 => 4,
            Values::F16 => 2,
        }
    }
}

/// Vectors `[n, width]`, end to end, at any address.
#[derive(Debug, Clone, Copy)]
pub struct Vectors<'a> {
    values: Values,
    width: usize,
    bytes: &'a [u8],
}

impl<'a> Vectors<'a> {
    /// Vectors of `width` values in `bytes`.
    ///
    /// # Errors
    /// Where `width` is 0, or `bytes` are not a whole number of vectors.
    pub fn new(values: Values, width: usize, bytes: &'a [u8]) -> Result<Vectors<'a>> {
        let row = width.checked_mul(values.bytes()).filter(|&row| row > 0 && bytes.len().is_multiple_of(row));
        row.ok_or_else(|| fault(format!("{} bytes are no whole number of vectors of {width} values", bytes.len())))?;
        Ok(Vectors { values, width, bytes })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.row_bytes()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Values of a vector.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Vector `index`, exactly; `None` beyond the last.
    pub fn get(&self, index: usize) -> Option<Vec<f32>> {
        let row = self.bytes.chunks_exact(self.row_bytes()).nth(index)?;
        Some(match self.values {
            Values::F32 => row.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect(),
            Values::F16 => row.as_chunks::<2>().0.iter().map(|two| half(u16::from_le_bytes(*two))).collect(),
        })
    }

    fn row_bytes(&self) -> usize {
        self.width * self.values.bytes()
    }
}

/// A vector that is near.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Its position among the vectors.
    pub index: usize,
    /// `Σ (x − q)²`, within `(width / 64 + 11) · 2⁻²⁴` of itself.
    pub squared_distance: f32,
}

/// Threads that search.
pub struct Search {
    threads: Threads,
    target: Target,
}

/// Bytes of a task's vectors. The partition is the same for any number of threads.
const TASK_BYTES: usize = 1 << 20;

impl Search {
    /// Starts as many threads (1 to 1024; `None`: one for each core), for the instruction set given or the highest there is.
    ///
    /// # Errors
    /// Where the number of threads is out of range, or the CPU lacks the instruction set.
    pub fn new(threads: Option<usize>, isa: Option<Isa>) -> Result<Search> {
        let (target, count) = (target(isa)?, thread_count(threads)?);
        let threads = Threads::new(count).map_err(|error| fault(format!("starting {count} threads: {error}")))?;
        Ok(Search { threads, target })
    }

    /// `[n, m]`: the squared distances of the `n` vectors to the `m` queries `[m, width]`, the same bits for any number of threads.
    /// The vectors are read once, whatever `m`.
    ///
    /// # Errors
    /// Where there is no query, or one is not as wide as the vectors.
    pub fn squared_distances(&self, vectors: &Vectors<'_>, queries: &[f32]) -> Result<Vec<f32>> {
        let (width, row, target) = (vectors.width, vectors.row_bytes(), self.target);
        if queries.is_empty() || !queries.len().is_multiple_of(width) {
            return Err(fault(format!("{} values given for queries, {width} each are expected", queries.len())));
        }
        let (count, rows) = (queries.len() / width, (TASK_BYTES / row).max(1));
        let mut distances = vec![0.0; vectors.len() * count];
        let run = match vectors.values {
            Values::F32 => nearest::squared_distances_f32,
            Values::F16 => nearest::squared_distances_f16,
        };
        self.threads.chunks(&mut distances, rows * count, &mut [], |task, out, _| {
            let bytes = &vectors.bytes[task * rows * row..][..out.len() / count * row];
            run(target, bytes, queries, width, out);
        });
        Ok(distances)
    }

    /// The `count` nearest vectors to each of the queries `[m, width]`, or all where there are fewer: the nearest first, the lower
    /// index first among equals, those whose distance is not a number last.
    ///
    /// # Errors
    /// As [`Search::squared_distances`].
    pub fn nearest(&self, vectors: &Vectors<'_>, queries: &[f32], count: usize) -> Result<Vec<Vec<Neighbour>>> {
        let distances = self.squared_distances(vectors, queries)?;
        let queries = queries.len() / vectors.width;
        Ok((0..queries).map(|query| least(distances.iter().skip(query).step_by(queries).copied(), count)).collect())
    }
}

/// The `count` least of some squared distances.
fn least(distances: impl Iterator<Item = f32>, count: usize) -> Vec<Neighbour> {
    let mut all: Vec<Neighbour> =
        distances.enumerate().map(|(index, squared_distance)| Neighbour { index, squared_distance }).collect();
    let order = |a: &Neighbour, b: &Neighbour| {
        let (x, y) = (a.squared_distance, b.squared_distance);
        let by_distance = x.partial_cmp(&y).unwrap_or_else(|| x.is_nan().cmp(&y.is_nan()));
        by_distance.then(a.index.cmp(&b.index))
    };
    if count < all.len() {
        all.select_nth_unstable_by(count, order);
        all.truncate(count);
    }
    all.sort_unstable_by(order);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn indices(found: &[Neighbour]) -> Vec<usize> {
        found.iter().map(|neighbour| neighbour.index).collect()
    }

    #[test]
    fn the_nearest_come_first_and_equals_by_their_index() {
        let all = bytes(&[5.0, 0.0, 3.0, 4.0, 0.0, 1.0, f32::NAN, 0.0, 4.0, 3.0, 0.0, 1.0, -f32::NAN, 1.0]);
        let vectors = Vectors::new(Values::F32, 2, &all).unwrap();
        assert_eq!((vectors.len(), vectors.get(1), vectors.get(7)), (7, Some(vec![3.0, 4.0]), None));
        let search = Search::new(Some(2), None).unwrap();
        let found = search.nearest(&vectors, &[0.0, 0.0, 4.0, 3.0], 7).unwrap();
        assert_eq!([indices(&found[0]), indices(&found[1])], [vec![2, 5, 0, 1, 4, 3, 6], vec![4, 1, 0, 2, 5, 3, 6]]);
        assert_eq!((found[0][2].squared_distance, found[1][0].squared_distance), (25.0, 0.0));
        for count in 0..9 {
            let some = search.nearest(&vectors, &[0.0, 0.0], count).unwrap();
            assert_eq!(indices(&some[0]), indices(&found[0])[..count.min(7)], "{count}");
        }
    }

    #[test]
    fn any_number_of_threads_finds_the_same_bits() {
        let width = 1000;
        let values: Vec<f32> = (0..3000 * width).map(|i: usize| (i * 7919 % 4093) as f32 / 1024.0).collect();
        let halves: Vec<u8> = (0..3000 * width).flat_map(|i| ((i * 7919 % 16381) as u16).to_le_bytes()).collect();
        for (kind, all) in [(Values::F32, bytes(&values)), (Values::F16, halves)] {
            let vectors = Vectors::new(kind, width, &all).unwrap();
            let run = |threads| {
                let found =
                    Search::new(Some(threads), None).unwrap().squared_distances(&vectors, &values[5..5 + 2 * width]).unwrap();
                found.into_iter().map(f32::to_bits).collect::<Vec<u32>>()
            };
            let expected = run(1);
            assert!([2, 5].into_iter().all(|threads| run(threads) == expected), "{kind:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let refused = |width, len: usize| Vectors::new(Values::F16, width, &vec![0; len]).is_err();
        assert!(refused(0, 0) && refused(2, 6) && refused(usize::MAX, 4) && !refused(3, 6) && !refused(3, 0));
        let (search, all) = (Search::new(Some(1), None).unwrap(), [0; 12]);
        let vectors = Vectors::new(Values::F16, 3, &all).unwrap();
        for queries in [&[][..], &[0.0; 4]] {
            assert!(search.nearest(&vectors, queries, 1).unwrap_err().to_string().contains("3 each are expected"));
        }
        let none = Vectors::new(Values::F16, 3, &[]).unwrap();
        assert!(none.is_empty() && search.nearest(&none, &[0.0; 3], 6).unwrap()[0].is_empty());
    }
}
