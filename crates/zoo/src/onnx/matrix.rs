//! Matrices in another order or scale.

use net::SharedTensor;

/// The side of the squares that are exchanged at a time, so that both sides stay in the cache.
const TILE: usize = 32;

/// A matrix of `rows × columns` with rows and columns exchanged.
pub(super) fn transposed(matrix: &SharedTensor, rows: usize, columns: usize) -> SharedTensor {
    let from = matrix.data();
    let mut to = vec![0.0; from.len()];
    for top in (0..rows).step_by(TILE) {
        for left in (0..columns).step_by(TILE) {
            for row in top..rows.min(top + TILE) {
                for column in left..columns.min(left + TILE) {
                    to[column * rows + row] = from[row * columns + column];
                }
            }
        }
    }
    crate::model::tensor(vec![columns, rows], to)
}

/// A matrix times a number.
pub(super) fn scaled(matrix: &SharedTensor, factor: f64) -> SharedTensor {
    let values = matrix.data().iter().map(|&value| (f64::from(value) * factor) as f32).collect();
    crate::model::tensor(matrix.shape.clone(), values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_finds_its_place() {
        let (rows, columns) = (37, 65);
        let matrix = crate::model::tensor(vec![rows, columns], (0..rows * columns).map(|i| i as f32).collect());
        let turned = transposed(&matrix, rows, columns);
        assert_eq!(turned.shape, [columns, rows]);
        assert!((0..rows * columns).all(|i| turned.data()[i % columns * rows + i / columns] == i as f32));
        assert_eq!(scaled(&turned, 0.5).data()[1], columns as f32 / 2.0);
    }
}
