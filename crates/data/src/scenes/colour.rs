//! Colours whose brightness is chosen and whose hue is free, so that no class has a colour of its own.

use super::dice::Dice;

/// Gamma-encoded RGB, 0 to 1.
pub(super) type Colour = [f32; 3];

/// `a` at weight 0, `b` at weight 1.
pub(super) fn mix(a: Colour, b: Colour, weight: f32) -> Colour {
    std::array::from_fn(|i| a[i] + weight * (b[i] - a[i]))
}

/// The colour of luma `luma` (Rec. 601), chroma `chroma` and hue `turn` (in turns): YUV on a circle, clipped to the cube.
pub(super) fn colour(luma: f32, chroma: f32, turn: f32) -> Colour {
    let (v, u) = libm::sincosf(turn * std::f32::consts::TAU);
    let (u, v) = (u * chroma, v * chroma);
    [luma + 1.140 * v, luma - 0.395 * u - 0.581 * v, luma + 2.032 * u].map(|c| c.clamp(0.0, 1.0))
}

/// The colours of one image.
pub(super) struct Palette {
    /// Two of the backdrop, near each other in brightness.
    pub(super) far: Colour,
    pub(super) near: Colour,
    /// The object's body, clearly lighter or darker than the backdrop.
    pub(super) main: Colour,
    /// Its second part: sails, roof, wings.
    pub(super) second: Colour,
    /// Small things that must stand out from the body: windows, eyes, stripes.
    pub(super) detail: Colour,
    /// The opposite of `detail` in brightness: pupils, hubs.
    pub(super) accent: Colour,
    /// True if the object is lighter than the backdrop.
    pub(super) light_on_dark: bool,
}

impl Palette {
    pub(super) fn roll(dice: &mut Dice) -> Palette {
        let backdrop = dice.between(0.22, 0.78);
        let far = colour(backdrop + dice.around(0.1), dice.between(0.02, 0.16), dice.between(0.0, 1.0));
        let near = colour(backdrop + dice.around(0.1), dice.between(0.02, 0.16), dice.between(0.0, 1.0));
        // Whether there is room above the backdrop decides the sign when only one side has any.
        let light_on_dark = if backdrop < 0.42 {
            true
        } else if backdrop > 0.58 {
            false
        } else {
            dice.chance(0.5)
        };
        let away = |step: f32| if light_on_dark { backdrop + step } else { backdrop - step };
        let hue = dice.between(0.0, 1.0);
        let main = colour(away(dice.between(0.26, 0.42)).clamp(0.06, 0.94), dice.between(0.1, 0.3), hue);
        let second =
            colour(away(dice.between(0.18, 0.5)).clamp(0.05, 0.95), dice.between(0.1, 0.3), hue + dice.between(0.2, 0.8));
        let (dark, light) = (dice.between(0.02, 0.18), dice.between(0.85, 1.0));
        let (detail, accent) = if light_on_dark { (dark, light) } else { (light, dark) };
        let tint = dice.between(0.0, 1.0);
        Palette { far, near, main, second, detail: colour(detail, 0.08, tint), accent: colour(accent, 0.05, tint), light_on_dark }
    }
}
