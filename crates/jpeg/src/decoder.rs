//! A file's segments in turn, and what is to be done with each.

use crate::header::is_frame;
use crate::markers::{EOI, SOS, ScanData, Segments};
use crate::plan::{Plan, Region, Scale};
use crate::progressive::Stored;
use crate::render::Samples;
use crate::scan::{Block, Cursor, ScanHeader};
use crate::sequential::Strip;
use crate::simd::{self, Target};
use crate::tables::{Quantisation, Tables};
use crate::{Error, Header};

/// Far beyond any encoder, which writes about ten.
const MOST_SCANS: usize = 1000;

/// Decodes pictures one after the other, with memory that is kept from one to the next.
pub struct Decoder {
    target: Target,
    tables: Tables,
    data: ScanData,
    strips: [StripMemory; 4],
    stored: [Stored; 4],
    samples: [Samples; 4],
}

/// The coefficients of a component's row of units.
#[derive(Default)]
struct StripMemory {
    blocks: Vec<Block>,
    lasts: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder {
            target: Target::detect(),
            tables: Tables::default(),
            data: ScanData::default(),
            strips: Default::default(),
            stored: Default::default(),
            samples: Default::default(),
        }
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Decoder {
    /// Decodes the pixels of `region`, a rectangle of the picture scaled by `scale`, into `rgb`, which is overwritten:
    /// `[region.height, region.width, 3]`. They are the same as those of the whole picture at that scale.
    ///
    /// What a header claims is taken for granted here: have a look at [`Header::parse`] before. Beside the pixels asked for,
    /// memory goes into a few rows of blocks, or into all coefficients where a picture comes in several scans.
    ///
    /// # Errors
    /// Where the file breaks off, is damaged, or uses what is not supported; where the region is not inside of the picture.
    /// What damage there may be in compressed data below the region goes unnoticed.
    pub fn decode(&mut self, bytes: &[u8], scale: Scale, region: Region, rgb: &mut Vec<u8>) -> Result<(), Error> {
        let header = Header::parse(bytes)?;
        let plan = Plan::new(&header, scale, region)?;
        let mut steps: [Option<Quantisation>; 4] = [None; 4];
        let mut progress = Progress::NoScan;
        let mut scans = 0;
        self.tables.clear();
        rgb.resize(3 * region.width * region.height, 0);
        let mut segments = Segments::new(bytes)?;
        let mut frames = 0;
        loop {
            let segment = segments.next()?;
            match segment.code {
                EOI => break,
                SOS => {
                    segments.take_scan(&mut self.data);
                    if matches!(progress, Progress::Done) {
                        continue;
                    }
                    scans += 1;
                    if scans > MOST_SCANS {
                        return Err(Error::TooManyScans { most: MOST_SCANS });
                    }
                    let scan = ScanHeader::parse(segment.payload, &header)?;
                    for member in scan.members() {
                        let step = &mut steps[member.component];
                        if step.is_none() {
                            *step = Some(self.tables.quantisation(header.components[member.component].table)?);
                        }
                    }
                    if !header.progressive && scan.members().len() == header.components.len() {
                        self.decode_at_once(&header, &plan, &scan, &steps, rgb)?;
                        progress = Progress::Done;
                    } else {
                        self.store(&header, &plan, &scan, &mut progress)?;
                    }
                }
                code if is_frame(code) => {
                    frames += 1;
                    if frames > 1 {
                        return Err(Error::SecondPicture);
                    }
                }
                _ if matches!(progress, Progress::Done) => {}
                _ => self.tables.read(&segment)?,
            }
        }
        match progress {
            Progress::NoScan => Err(Error::Incomplete { component: 0 }),
            Progress::Done => Ok(()),
            Progress::Stored(seen) => match seen[..header.components.len()].iter().position(|seen| !seen) {
                Some(component) => Err(Error::Incomplete { component }),
                None => {
                    self.render_stored(&header, &plan, &steps, rgb);
                    Ok(())
                }
            },
        }
    }

    /// A scan of everything: each row of units becomes pixels as soon as it is decoded.
    fn decode_at_once(
        &mut self,
        header: &Header,
        plan: &Plan,
        scan: &ScanHeader,
        steps: &[Option<Quantisation>; 4],
        rgb: &mut [u8],
    ) -> Result<(), Error> {
        let members = scan.members();
        let lead = &members[0];
        let mut codes = [(self.tables.mean(lead.mean)?, self.tables.other(lead.other)?); 4];
        for (codes, member) in codes.iter_mut().zip(members) {
            *codes = (self.tables.mean(member.mean)?, self.tables.other(member.other)?);
        }
        let mut number = 0..4;
        let mut strips = self.strips.each_mut().map(|memory| {
            // Those beyond the scan's members are not looked at.
            let i = number.next().unwrap_or(0);
            let plane = &plan.planes()[members.get(i).unwrap_or(lead).component];
            let kept = plane.kept_across() * plane.v;
            memory.blocks.resize(kept, [0; 64]);
            memory.lasts.resize(kept, 0);
            Strip {
                mean: codes[i].0,
                other: codes[i].1,
                h: plane.h,
                v: plane.v,
                columns: plane.columns.clone(),
                means_only: plane.side == 1,
                blocks: &mut memory.blocks,
                lasts: &mut memory.lasts,
            }
        });
        let strips = &mut strips[..members.len()];
        for (samples, plane) in self.samples.iter_mut().zip(plan.planes()) {
            samples.reset(plane);
        }
        let mut cursor = Cursor::new(&self.data, self.tables.restart_interval);
        let mut next = plan.region.y;
        for row in 0..plan.unit_rows.end {
            let wanted = plan.unit_rows.contains(&row);
            simd::decode_row(self.target, &mut cursor, strips, plan.units_across, (row, plan.units_down), wanted)?;
            if !wanted {
                continue;
            }
            for (strip, member) in strips.iter().zip(members) {
                let plane = &plan.planes()[member.component];
                let Some(steps) = &steps[member.component] else { continue };
                let kept = plane.kept_across();
                for dy in 0..plane.v {
                    let blocks = &strip.blocks[dy * kept..][..kept];
                    let lasts = Some(&strip.lasts[dy * kept..][..kept]);
                    let out = self.samples[member.component].block_row(plane, dy);
                    simd::transform(self.target, blocks, lasts, steps, plane.side, out);
                }
            }
            simd::emit(self.target, plan, header.colour, &mut self.samples[..plan.planes().len()], row, &mut next, rgb);
        }
        Ok(())
    }

    /// A scan of some of the coefficients.
    fn store(&mut self, header: &Header, plan: &Plan, scan: &ScanHeader, progress: &mut Progress) -> Result<(), Error> {
        if !matches!(progress, Progress::Stored(_)) {
            for (stored, plane) in self.stored.iter_mut().zip(plan.planes()) {
                stored.reset(plan.units_across * plane.h, plan.units_down * plane.v);
            }
            *progress = Progress::Stored([false; 4]);
        }
        if let Progress::Stored(seen) = progress
            && (!header.progressive || scan.first == 0)
        {
            for member in scan.members() {
                seen[member.component] = true;
            }
        }
        let mut cursor = Cursor::new(&self.data, self.tables.restart_interval);
        let units = (plan.units_across, plan.units_down);
        let tables = &self.tables;
        simd::decode_scan(self.target, &mut cursor, scan, header.progressive, tables, plan.planes(), units, &mut self.stored)
    }

    /// The pixels of coefficients that are all there.
    fn render_stored(&mut self, header: &Header, plan: &Plan, steps: &[Option<Quantisation>; 4], rgb: &mut [u8]) {
        for (samples, plane) in self.samples.iter_mut().zip(plan.planes()) {
            samples.reset(plane);
        }
        let mut next = plan.region.y;
        for row in plan.unit_rows.clone() {
            for (((samples, plane), stored), steps) in self.samples.iter_mut().zip(plan.planes()).zip(&self.stored).zip(steps) {
                let Some(steps) = steps else { continue };
                for dy in 0..plane.v {
                    let at = (row * plane.v + dy) * stored.across + plane.columns.start;
                    let blocks = &stored.blocks[at..][..plane.kept_across()];
                    simd::transform(self.target, blocks, None, steps, plane.side, samples.block_row(plane, dy));
                }
            }
            simd::emit(self.target, plan, header.colour, &mut self.samples[..plan.planes().len()], row, &mut next, rgb);
        }
    }
}

/// How far a file has been decoded.
enum Progress {
    NoScan,
    /// Coefficients are kept; of which components there are mean values.
    Stored([bool; 4]),
    Done,
}
