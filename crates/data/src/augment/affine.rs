//! What moves pixels: torchvision's `affine` and `rotate` of 8-bit tensors, nearest pixel, black outside, bit for bit.
//!
//! Coordinates are f32 and rounded in torchvision's order of operations, because a coordinate half way between two pixels
//! picks the one or the other by its last bit.

/// Which pixel of the source shows at a pixel of the result: `x' = m₀ x + m₁ y + m₂`, `y' = m₃ x + m₄ y + m₅`, in pixels from the
/// middle of the image.
pub(super) type Inverse = [f64; 6];

/// About `centre` (x, y in pixels from the middle), by `angle` in radians, then `translate`, with shears in radians.
///
/// The inverse of `T C R(a) Y(sy) X(sx) C⁻¹`; with both shears at 0 or the angle at 0 the products below are exact.
pub(super) fn inverse(centre: [f64; 2], angle: f64, translate: [f64; 2], [shear_x, shear_y]: [f64; 2]) -> Inverse {
    let ([cx, cy], [tx, ty]) = (centre, translate);
    let (cos, tan) = (libm::cos(shear_y), libm::tan(shear_x));
    let a = libm::cos(angle - shear_y) / cos;
    let b = -(a * tan + libm::sin(angle));
    let c = libm::sin(angle - shear_y) / cos;
    let d = libm::cos(angle) - c * tan;
    [d, -b, cx - d * (cx + tx) + b * (cy + ty), -c, a, cy + c * (cx + tx) - a * (cy + ty)]
}

/// `[h, w, 3]`, changed in place; `before` is overwritten.
pub(super) fn warp(rgb: &mut [u8], width: usize, inverse: Inverse, before: &mut Vec<u8>) {
    let Some(height) = (rgb.len() / 3).checked_div(width) else { return };
    before.clear();
    before.extend_from_slice(rgb);
    let m = inverse.map(|x| x as f32);
    let (half_w, half_h) = (0.5 * width as f32, 0.5 * height as f32);
    // From pixels to the unit square, for which PyTorch's sampling is defined, and back.
    let (across, down) = ([m[0] / half_w, m[1] / half_w, m[2] / half_w], [m[3] / half_h, m[4] / half_h, m[5] / half_h]);
    let source = before.as_chunks::<3>().0;
    for (row_index, row) in rgb.as_chunks_mut::<3>().0.chunks_exact_mut(width).enumerate() {
        let y = row_index as f32 - 0.5 * (height as f32 - 1.0);
        for (column_index, pixel) in row.iter_mut().enumerate() {
            let x = column_index as f32 - 0.5 * (width as f32 - 1.0);
            let at = |[mx, my, m]: [f32; 3], half: f32| nearest((x * mx + y * my + m + 1.0) * half - 0.5);
            let (x, y) = (at(across, half_w), at(down, half_h));
            let inside = (0.0..width as f32).contains(&x) && (0.0..height as f32).contains(&y);
            *pixel = if inside { source[y as usize * width + x as usize] } else { [0; 3] };
        }
    }
}

/// The nearest whole number, the even one where two are as near; of coordinates far outside only that they are outside.
#[inline]
fn nearest(x: f32) -> f32 {
    // 1.5 · 2²³, at which floats are whole numbers.
    const WHOLE: f32 = 12_582_912.0;
    x.clamp(-2.0, 1e6) + WHOLE - WHOLE
}
