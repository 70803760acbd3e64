//! One image, looked at alone.

use std::path::Path;

use super::{Detail, EXTREME_ASPECT, HUGE_PIXELS, Kind, LEAST_DEVIATION, MOST_OF_ONE_COLOUR_PERMILLE, TINY_SIDE};
use crate::decode::probe::{Colour, Header, is_cut_off, probe};
use crate::pipeline::luma;
use crate::{Content, Error, Format, Image, Result, Source};

/// A digest of an image's size and pixels. Two of a thousand million images agree by chance in one of 10²⁰ cases.
pub(super) type Digest = [u8; 16];

/// What was seen of an image.
#[derive(Default)]
pub(super) struct Look {
    /// The format, where there are bytes of a known one.
    pub(super) format: Option<Format>,
    /// Whether the source keeps pixels instead of a file.
    pub(super) is_pixels: bool,
    /// Of the encoded file.
    pub(super) bytes: u64,
    /// Of the decoded image.
    pub(super) pixels: Option<Pixels>,
    pub(super) findings: Vec<(Kind, Detail)>,
}

/// An image that could be decoded.
pub(super) struct Pixels {
    pub(super) digest: Digest,
    pub(super) shorter_side: u32,
}

/// Looks at image `index`. `buffer` is overwritten.
///
/// # Errors
/// Where the source fails in another way than at this image.
pub(super) fn at(source: &dyn Source, index: usize, buffer: &mut Vec<u8>) -> Result<Look> {
    let mut look = Look::default();
    let content = match source.fetch(index, buffer) {
        Ok(content) => content,
        Err(Error::File { source, .. }) => {
            look.findings.push((Kind::Unreadable, Detail::Reason(source.to_string().into())));
            return Ok(look);
        }
        Err(Error::Image { source, .. }) => {
            look.findings.push((Kind::Undecodable, Detail::Reason(source.to_string().into())));
            return Ok(look);
        }
        Err(error) => return Err(error),
    };
    let mut header = None;
    if let Content::Encoded { bytes, .. } = content {
        look.bytes = bytes.len() as u64;
        header = probe(bytes);
        look.format = header.map(|header| header.format);
    } else {
        look.is_pixels = true;
    }
    match (content.decode(), content) {
        (Ok(image), _) => {
            look.of_header(header, source.keeps_files().then(|| source.name(index)).as_deref());
            look.of_image(&image, header);
        }
        (Err(fault), Content::Encoded { bytes, .. }) if is_cut_off(bytes) => {
            look.findings.push((Kind::Truncated, Detail::Reason(fault.to_string().into())));
        }
        (Err(fault), _) => look.findings.push((Kind::Undecodable, Detail::Reason(fault.to_string().into()))),
    }
    Ok(look)
}

impl Look {
    /// What the header alone says, and the file's name where there is one.
    fn of_header(&mut self, header: Option<Header>, name: Option<&str>) {
        let Some(Header { format, colour, orientation }) = header else { return };
        if let Some(colour @ (Colour::Cmyk | Colour::Ycck)) = colour {
            self.findings.push((Kind::Cmyk, Detail::Colour(colour)));
        }
        if name.and_then(extension_of).is_some_and(|named| named != Some(format)) {
            self.findings.push((Kind::Misnamed, Detail::Format(format)));
        }
        if orientation != 1 {
            self.findings.push((Kind::Rotated, Detail::Orientation(orientation)));
        }
    }

    /// What the pixels say.
    fn of_image(&mut self, image: &Image, header: Option<Header>) {
        let (width, height) = (image.width as u32, image.height as u32);
        let (shorter, longer) = (width.min(height), width.max(height));
        let (pixels, _) = image.rgb.as_chunks::<3>();
        let (one_component, size) = (header.and_then(|h| h.colour) == Some(Colour::Grey), Detail::Size { width, height });
        if one_component || pixels.iter().all(|&[r, g, b]| r == g && g == b) {
            self.findings.push((Kind::Grey, if one_component { Detail::Colour(Colour::Grey) } else { Detail::EqualChannels }));
        }
        self.findings.extend(emptiness(pixels).map(|detail| (Kind::NearEmpty, detail)));
        if shorter < TINY_SIDE {
            self.findings.push((Kind::Tiny, size.clone()));
        }
        if u64::from(width) * u64::from(height) > HUGE_PIXELS {
            self.findings.push((Kind::Huge, size.clone()));
        }
        if longer > EXTREME_ASPECT.saturating_mul(shorter) {
            self.findings.push((Kind::ExtremeAspect, size));
        }
        self.pixels = Some(Pixels { digest: digest(image), shorter_side: shorter });
    }
}

/// The format that a name's extension promises: `Some(None)` for formats that are not read, `None` where it promises none.
fn extension_of(name: &str) -> Option<Option<Format>> {
    let extension = Path::new(name).extension()?.to_str()?.to_ascii_lowercase();
    match extension.as_str() {
        "jpg" | "jpeg" | "jpe" | "jfif" => Some(Some(Format::Jpeg)),
        "png" | "apng" => Some(Some(Format::Png)),
        "webp" => Some(Some(Format::WebP)),
        "bmp" | "dib" => Some(Some(Format::Bmp)),
        "gif" | "tif" | "tiff" | "heic" | "heif" | "avif" | "jxl" => Some(None),
        _ => None,
    }
}

fn digest(image: &Image) -> Digest {
    let mut hasher = blake3::Hasher::new();
    for side in [image.width, image.height] {
        hasher.update(&(side as u64).to_le_bytes());
    }
    hasher.update(&image.rgb);
    *hasher.finalize().as_bytes().first_chunk().expect("a digest has 32 bytes")
}

/// In what way an image is almost empty, if it is. All in whole numbers.
fn emptiness(pixels: &[[u8; 3]]) -> Option<Detail> {
    let n = pixels.len() as u128;
    let (mut sum, mut squares) = (0u64, 0u64);
    // 2¹⁶ squares of a byte fit into 32 bits.
    for some in pixels.chunks(1 << 16) {
        let (mut s, mut q) = (0u32, 0u32);
        for pixel in some {
            let y = u32::from(luma(pixel));
            (s, q) = (s + y, q + y * y);
        }
        (sum, squares) = (sum + u64::from(s), squares + u64::from(q));
    }
    // n²σ²
    let spread = n * u128::from(squares) - u128::from(sum) * u128::from(sum);
    if spread < n * n * u128::from(LEAST_DEVIATION * LEAST_DEVIATION) {
        return Some(Detail::Deviation { luma: libm::sqrt(spread as f64 / (n * n) as f64) as f32 });
    }
    // Where all but a share p of the pixels have one colour, luma's variance is at most 255²·p·(1 − p).
    let others = 1000 - u128::from(MOST_OF_ONE_COLOUR_PERMILLE);
    if spread * 1_000_000 > n * n * 255 * 255 * others * (1000 - others) {
        return None;
    }
    // The one colour that can have more than half of the pixels.
    let (mut candidate, mut votes) = ([0; 3], 0u64);
    for &pixel in pixels {
        match (votes, pixel == candidate) {
            (0, _) => (candidate, votes) = (pixel, 1),
            (_, true) => votes += 1,
            (_, false) => votes -= 1,
        }
    }
    let of_candidate = pixels.iter().filter(|&&pixel| pixel == candidate).count() as u128;
    (of_candidate * 1000 >= n * u128::from(MOST_OF_ONE_COLOUR_PERMILLE))
        .then(|| Detail::OneColour { rgb: candidate, share: (of_candidate as f64 / n as f64) as f32 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_empty_where_luma_hardly_varies() {
        // Deviations of 1.5 and 2 levels.
        let alternating = |low: u8, high: u8| (0..1000).map(|i| [if i % 2 == 0 { low } else { high }; 3]).collect::<Vec<_>>();
        assert!(matches!(emptiness(&alternating(100, 103)), Some(Detail::Deviation { luma }) if luma == 1.5));
        assert_eq!(emptiness(&alternating(100, 104)), None);
    }

    #[test]
    fn an_image_is_empty_where_one_colour_has_almost_all_pixels() {
        let specks =
            |n: usize| (0..1000).map(|i| if i % 7 == 3 && i / 7 < n { [255; 3] } else { [0, 10, 0] }).collect::<Vec<_>>();
        assert!(matches!(emptiness(&specks(5)), Some(Detail::OneColour { rgb: [0, 10, 0], .. })));
        assert_eq!(emptiness(&specks(6)), None);
        let two = (0..1000).map(|i| if i < 500 { [90, 0, 0] } else { [0, 100, 0] }).collect::<Vec<_>>();
        assert_eq!(emptiness(&two), None);
    }

    #[test]
    fn extensions_promise_formats() {
        assert_eq!(extension_of("train/n0/n0_1.JPEG"), Some(Some(Format::Jpeg)));
        assert_eq!(extension_of("a.b/photo.heic"), Some(None));
        assert_eq!(extension_of("a.png/photo"), None);
        assert_eq!(extension_of("a/photo.17"), None);
    }

    #[test]
    fn a_digest_knows_the_shape() {
        let image = |width, height| Image { width, height, rgb: vec![9; 3 * width * height] };
        assert_ne!(digest(&image(2, 3)), digest(&image(3, 2)));
        assert_eq!(digest(&image(2, 3)), digest(&image(2, 3)));
    }
}
