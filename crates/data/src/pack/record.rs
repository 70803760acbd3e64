//! An image as a record.

use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};

use super::format::{self, Kind};
use super::settings::{Chroma, Encoding, Settings, Store};
use crate::{Content, Error, Fault, Image, Preprocessing, Region, Resizer, Result, Source};

/// What is written of one image.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
    /// [`format::checksum`] of the bytes, computed where many threads are.
    pub(super) checksum: u64,
    /// Bytes that the source keeps of it.
    pub(super) source_bytes: u64,
}

/// Makes records; the memory of one thread.
pub(super) struct Recorder<'a> {
    settings: &'a Settings,
    preprocessing: Preprocessing,
    resizer: Resizer,
    fetched: Vec<u8>,
    pixels: Vec<u8>,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(settings: &'a Settings) -> Recorder<'a> {
        let preprocessing = settings.preprocessing();
        Recorder { settings, preprocessing, resizer: Resizer::default(), fetched: Vec::new(), pixels: Vec::new() }
    }

    /// The record of image `index`. Whatever is stored, the image was decoded: a record is never a bad image.
    ///
    /// # Errors
    /// Where the image cannot be read, or not be stored like this.
    pub(super) fn record(&mut self, source: &dyn Source, index: usize) -> Result<Record> {
        let mut fetched = std::mem::take(&mut self.fetched);
        let made = self.record_of(source, index, &mut fetched);
        self.fetched = fetched;
        made
    }

    fn record_of(&mut self, source: &dyn Source, index: usize, fetched: &mut Vec<u8>) -> Result<Record> {
        let named = |fault: Fault| Error::Image { name: source.name(index).into_owned(), source: fault };
        let content = source.fetch(index, fetched)?;
        let image = content.decode().map_err(named)?;
        let source_bytes = match content {
            Content::Encoded { bytes, .. } => bytes.len() as u64,
            Content::Pixels { rgb, .. } => rgb.len() as u64,
        };
        let (kind, bytes) = match (self.settings.store, content) {
            (Store::Raw, Content::Encoded { bytes, exif }) => (if exif { Kind::Oriented } else { Kind::File }, bytes.to_vec()),
            (Store::Raw, Content::Pixels { .. }) => self.pixels(image).map_err(named)?,
            _ => self.resized(&image).map_err(named)?,
        };
        Ok(Record { kind, checksum: format::checksum(&bytes), bytes, source_bytes })
    }

    /// The image at its stored size.
    fn resized(&mut self, image: &Image) -> Result<(Kind, Vec<u8>), Fault> {
        let placement = self.preprocessing.place(image.width, image.height)?;
        let region = match self.settings.store {
            Store::Crop => placement.square(self.settings.side),
            _ => Region { y: 0, x: 0, height: placement.height, width: placement.width },
        };
        check_size(region.width, region.height)?;
        let mut rgb = std::mem::take(&mut self.pixels);
        self.resizer.resize(image.into(), placement.width, placement.height, self.preprocessing.filter, region, &mut rgb);
        let image = Image { width: region.width, height: region.height, rgb };
        match self.settings.format {
            Encoding::Pixels => self.pixels(image),
            Encoding::Jpeg => {
                let bytes = jpeg(&image, self.settings.quality, self.settings.chroma)?;
                self.pixels = image.rgb;
                Ok((Kind::File, bytes))
            }
        }
    }

    fn pixels(&mut self, image: Image) -> Result<(Kind, Vec<u8>), Fault> {
        let (width, height) = check_size(image.width, image.height)?;
        let mut bytes = Vec::with_capacity(format::PIXELS_HEAD_BYTES + image.rgb.len());
        bytes.extend(width.to_le_bytes());
        bytes.extend(height.to_le_bytes());
        bytes.extend_from_slice(&image.rgb);
        self.pixels = image.rgb;
        Ok((Kind::Pixels, bytes))
    }
}

/// Sides that a record can have.
fn check_size(width: usize, height: usize) -> Result<(u16, u16), Fault> {
    match (u16::try_from(width), u16::try_from(height)) {
        (Ok(w), Ok(h)) => Ok((w, h)),
        _ => {
            let limit = format!("a record has at most {} of either", u16::MAX);
            Err(Fault::TooLarge { format: "pack", width, height, limit })
        }
    }
}

/// Baseline JPEG of one scan, with the standard's tables of codes: tables made for the image would save four bytes of a hundred,
/// but the encoder then writes a scan for each colour, and not every decoder reads that as it should.
fn jpeg(image: &Image, quality: u8, chroma: Chroma) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(match chroma {
        Chroma::Full => SamplingFactor::R_4_4_4,
        Chroma::Quarter => SamplingFactor::R_4_2_0,
    });
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    // The sides fit: `check_size`.
    let encoded = encoder.encode(&image.rgb, image.width as u16, image.height as u16, ColorType::Rgb);
    encoded.map_err(|e| Fault::Damaged { format: "JPEG", message: format!("it cannot be written: {e}") })?;
    Ok(bytes)
}
