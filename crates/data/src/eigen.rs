//! Eigenvalues and eigenvectors of small symmetric matrices, by Jacobi's rotations.

/// Eigenvalues, largest first, and their unit eigenvectors, one a column, of the symmetric `n × n` matrix `a` (row-major).
/// The component of largest magnitude (the first such) of each vector is positive.
pub(crate) fn symmetric(a: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut a = a.to_vec();
    let mut v: Vec<f64> = (0..n * n).map(|i| f64::from(i / n == i % n)).collect();
    // Convergence is quadratic: 3 × 3 takes about five sweeps.
    for _sweep in 0..50 {
        let off: f64 = (0..n * n).filter(|i| i / n != i % n).map(|i| a[i] * a[i]).sum();
        let all: f64 = a.iter().map(|x| x * x).sum();
        if off <= all * 1e-30 {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut v, n, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[j * n + j].total_cmp(&a[i * n + i]));
    let values = order.iter().map(|&i| a[i * n + i]).collect();
    let mut vectors = vec![0.0; n * n];
    for (to, &from) in order.iter().enumerate() {
        let largest = (0..n).fold(0, |best, r| if v[r * n + from].abs() > v[best * n + from].abs() { r } else { best });
        let sign = if v[largest * n + from] < 0.0 { -1.0 } else { 1.0 };
        for r in 0..n {
            vectors[r * n + to] = sign * v[r * n + from];
        }
    }
    (values, vectors)
}

/// One rotation in the plane of axes `p` and `q` that makes `a[p, q]` zero; `v` collects the rotations.
fn rotate(a: &mut [f64], v: &mut [f64], n: usize, p: usize, q: usize) {
    let apq = a[p * n + q];
    if apq == 0.0 {
        return;
    }
    let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let cos = 1.0 / (t * t + 1.0).sqrt();
    let sin = t * cos;
    for k in 0..n {
        let (x, y) = (a[k * n + p], a[k * n + q]);
        (a[k * n + p], a[k * n + q]) = (cos * x - sin * y, sin * x + cos * y);
    }
    for k in 0..n {
        let (x, y) = (a[p * n + k], a[q * n + k]);
        (a[p * n + k], a[q * n + k]) = (cos * x - sin * y, sin * x + cos * y);
        let (x, y) = (v[k * n + p], v[k * n + q]);
        (v[k * n + p], v[k * n + q]) = (cos * x - sin * y, sin * x + cos * y);
    }
    (a[p * n + q], a[q * n + p]) = (0.0, 0.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_orthonormal_and_rebuild_the_matrix() {
        let matrix = [3021.5, 2890.25, 2711.0, 2890.25, 3120.0, 3055.5, 2711.0, 3055.5, 3788.75];
        let (values, vectors) = symmetric(&matrix, 3);
        assert!(values.windows(2).all(|w| w[0] >= w[1]));
        // A few roundings of numbers of the matrix's size.
        let bound = 16.0 * f64::EPSILON * 9000.0;
        for r in 0..3 {
            for c in 0..3 {
                let rebuilt: f64 = (0..3).map(|k| vectors[r * 3 + k] * values[k] * vectors[c * 3 + k]).sum();
                assert!((rebuilt - matrix[r * 3 + c]).abs() < bound, "[{r}, {c}]: {rebuilt}");
                let dot: f64 = (0..3).map(|k| vectors[k * 3 + r] * vectors[k * 3 + c]).sum();
                assert!((dot - f64::from(r == c)).abs() < 16.0 * f64::EPSILON);
            }
        }
        for c in 0..3 {
            let largest = (0..3).map(|r| vectors[r * 3 + c]).max_by(|a, b| a.abs().total_cmp(&b.abs()));
            assert!(largest.is_some_and(|x| x > 0.0));
        }
    }

    #[test]
    fn special_matrices() {
        let (values, vectors) = symmetric(&[0.0; 9], 3);
        assert_eq!(values, [0.0; 3]);
        assert_eq!(vectors, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(symmetric(&[7.0], 1), (vec![7.0], vec![1.0]));
        let (values, vectors) = symmetric(&[2.0, 0.0, 0.0, 5.0], 2);
        assert_eq!((values, vectors), (vec![5.0, 2.0], vec![0.0, 1.0, 1.0, 0.0]));
        // All ones, as grey pictures have it: 3 along the diagonal, nothing across.
        let (values, vectors) = symmetric(&[1.0; 9], 3);
        assert!((values[0] - 3.0).abs() < 1e-15 && values[1].abs() < 1e-15 && values[2].abs() < 1e-15);
        assert!((vectors[0] - (1.0f64 / 3.0).sqrt()).abs() < 1e-15);
    }
}
