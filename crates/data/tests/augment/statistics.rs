//! How far counts may stray.

/// `Σ (count − n·share)² / (n·share)` of counts that were drawn `n` times with these shares stays below this but once in a
/// million times: Laurent and Massart's `P(χ²_k ≥ k + 2√(kx) + 2x) ≤ e⁻ˣ` (2000, lemma 1) at `x = ln 10⁶`. That counts are
/// only nearly normal is made up for by at least 100 expected in each place.
#[track_caller]
pub(crate) fn assert_shares(counts: &[u32], shares: &[f64], what: &str) {
    assert_eq!(counts.len(), shares.len());
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{what}: shares of a whole");
    let n = f64::from(counts.iter().sum::<u32>());
    let mut chi_square = 0.0;
    for (&count, share) in counts.iter().zip(shares) {
        assert!(n * share >= 100.0, "{what}: only {} expected", n * share);
        chi_square += (f64::from(count) - n * share).powi(2) / (n * share);
    }
    let (k, x) = (counts.len() as f64 - 1.0, 1e6_f64.ln());
    let bound = k + 2.0 * (k * x).sqrt() + 2.0 * x;
    assert!(chi_square <= bound, "{what}: χ² {chi_square:.1} of {k} degrees of freedom, bound {bound:.1}: {counts:?}");
}

/// Whether values in `[0, 1]` are uniform, by 20 equal parts.
#[track_caller]
pub(crate) fn assert_uniform(values: &[f64], what: &str) {
    let mut counts = [0; 20];
    for value in values {
        assert!((0.0..=1.0).contains(value), "{what}: {value}");
        counts[((value * 20.0) as usize).min(19)] += 1;
    }
    assert_shares(&counts, &[0.05; 20], what);
}
