//! What a graph does to pixels before its first layer.

/// Per map of the net's input, `y = scale · x + shift` of the pixels `x` that a caller gives.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Border {
    /// Maps of the input.
    c: usize,
    /// One value for each map; none while nothing has been done.
    scale: Vec<f64>,
    shift: Vec<f64>,
    /// An image that is subtracted first, `[c, h, w]` in the order of the net's maps.
    image: Option<Vec<f32>>,
    /// Whether the maps are taken in the opposite order: the caller's last is the net's first.
    pub(super) reversed: bool,
}

/// The most maps of pixels: red, green, blue and one more.
const MOST_MAPS: usize = 4;

/// What is done with a constant for each map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Border {
    pub(super) fn new(c: usize) -> Border {
        Border { c, scale: Vec::new(), shift: Vec::new(), image: None, reversed: false }
    }

    /// Changes every map by a value for each.
    ///
    /// # Errors
    /// Where the values are not as many as the maps.
    pub(super) fn change(&mut self, change: Change, values: &[f64]) -> Result<(), String> {
        if values.len() != self.c || self.c > MOST_MAPS {
            return Err(format!("has {} values for {} maps", values.len(), self.c));
        }
        if self.scale.is_empty() {
            (self.scale, self.shift) = (vec![1.0; self.c], vec![0.0; self.c]);
        }
        for ((scale, shift), &value) in self.scale.iter_mut().zip(&mut self.shift).zip(values) {
            match change {
                Change::Add => *shift += value,
                Change::Subtract => *shift -= value,
                Change::Multiply => (*scale, *shift) = (*scale * value, *shift * value),
                Change::Divide => (*scale, *shift) = (*scale / value, *shift / value),
            }
        }
        Ok(())
    }

    /// Subtracts an image, `[c, h, w]`.
    ///
    /// # Errors
    /// Where something has been done before.
    pub(super) fn subtract_image(&mut self, image: Vec<f32>) -> Result<(), String> {
        if !self.scale.is_empty() || self.image.is_some() || self.c > MOST_MAPS {
            return Err("subtracts an image from pixels that have been changed already".into());
        }
        self.image = Some(image);
        Ok(())
    }

    /// Takes the maps in the opposite order.
    pub(super) fn reverse(&mut self) {
        if let Some(image) = &mut self.image {
            let plane = image.len().checked_div(self.c).unwrap_or(0).max(1);
            *image = image.chunks(plane).rev().flatten().copied().collect();
        }
        self.reversed = !self.reversed;
        self.scale.reverse();
        self.shift.reverse();
    }

    /// What this means as subtraction and division; `None` where nothing is done.
    ///
    /// # Errors
    /// Where pixels are multiplied by what is not above 0.
    pub(super) fn normalisation(&self) -> Result<Option<Normalisation>, String> {
        let plain = self.scale.iter().all(|&scale| scale == 1.0) && self.shift.iter().all(|&shift| shift == 0.0);
        if plain && self.image.is_none() {
            return Ok(None);
        }
        let pairs = self.scale.iter().zip(&self.shift).map(|(scale, shift)| (-shift / scale, 1.0 / scale));
        let pairs: Vec<(f64, f64)> = if self.scale.is_empty() { vec![(0.0, 1.0); self.c] } else { pairs.collect() };
        if !pairs.iter().all(|(mean, std)| mean.is_finite() && std.is_finite() && *std > 0.0) {
            return Err("its graph multiplies pixels by what is not above 0".into());
        }
        let image = self.image.as_deref().unwrap_or_default();
        let unit =
            pairs.iter().all(|(mean, std)| mean.abs() <= 1.0 && *std <= 1.0) && image.iter().all(|value| value.abs() <= 1.0);
        let factor = if unit { 255.0 } else { 1.0 };
        // Constants of files are f32, and so are quotients of them: the nearest number of few digits is what was meant.
        let of = |value: f64| super::decimal(value * factor) as f32;
        let plane = image.len().checked_div(self.c).unwrap_or(0).max(1);
        let planes = image.chunks(plane).zip(&pairs);
        let image =
            planes.flat_map(|(plane, (mean, _))| plane.iter().map(move |&value| ((f64::from(value) + mean) * factor) as f32));
        let image = self.image.is_some().then(|| image.collect());
        let (mean, std) = pairs.iter().map(|(mean, std)| (of(*mean), of(*std))).unzip();
        Ok(Some(Normalisation { mean, std, image, unit }))
    }
}

/// What is done to pixels of 0 to 255, for each map of the net.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Normalisation {
    /// What is subtracted.
    pub(super) mean: Vec<f32>,
    /// What the difference is divided by.
    pub(super) std: Vec<f32>,
    /// What is subtracted instead of `mean` where it differs from pixel to pixel, `[c, h, w]`.
    pub(super) image: Option<Vec<f32>>,
    /// Whether the graph takes pixels of 0 to 1 instead. Nothing says so but the numbers: a mean and a deviation of at most 1 are
    /// of such pixels.
    pub(super) unit: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_of_normalisation_are_one() {
        let f32s = |values: [f64; 3]| values.map(|value| f64::from(value as f32));
        let (mean, std) = (f32s([0.485, 0.456, 0.406]), f32s([0.229, 0.224, 0.225]));
        let usual =
            |unit| Normalisation { mean: vec![123.675, 116.28, 103.53], std: vec![58.395, 57.12, 57.375], image: None, unit };
        let mut unit = Border::new(3);
        assert_eq!(unit.normalisation(), Ok(None));
        unit.change(Change::Subtract, &mean).unwrap();
        unit.change(Change::Divide, &std).unwrap();
        assert_eq!(unit.normalisation(), Ok(Some(usual(true))));
        let mut bytes = Border::new(3);
        bytes.change(Change::Divide, &[255.0; 3]).unwrap();
        bytes.change(Change::Subtract, &mean).unwrap();
        bytes.change(Change::Divide, &std).unwrap();
        assert_eq!(bytes.normalisation(), Ok(Some(usual(false))));
        let mut other = Border::new(3);
        other.change(Change::Add, &[-1.0, -2.0, -3.0]).unwrap();
        other.reverse();
        other.change(Change::Multiply, &[0.5; 3]).unwrap();
        let expected = Normalisation { mean: vec![3.0, 2.0, 1.0], std: vec![2.0; 3], image: None, unit: false };
        assert_eq!(other.normalisation(), Ok(Some(expected)));
        assert!(other.reversed && other.change(Change::Add, &[1.0]).is_err());
        other.change(Change::Multiply, &[-1.0; 3]).unwrap();
        assert!(other.normalisation().is_err());
        let mut image = Border::new(3);
        image.subtract_image(vec![10.0, 20.0, 30.0, 40.0, 50.0, 60.0]).unwrap();
        image.change(Change::Subtract, &[1.0, 2.0, 3.0]).unwrap();
        image.reverse();
        let expected = Some(vec![53.0, 63.0, 32.0, 42.0, 11.0, 21.0]);
        assert_eq!(image.normalisation().unwrap().unwrap().image, expected);
        assert!(image.subtract_image(vec![0.0; 6]).is_err());
        assert!(Border::new(1 << 40).change(Change::Add, &[1.0]).is_err());
    }
}
