//! Members of archives as a source.

use std::borrow::Cow;
use std::sync::Arc;

use super::Archive;
use crate::tar::Member;
use crate::{Content, Error, Result, Source};

/// Where an image lies: numbers of an archive, a group in it and a member of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lying {
    pub(crate) archive: u32,
    pub(crate) group: u32,
    pub(crate) member: u32,
}

impl Lying {
    /// All members of all groups of some archives.
    pub(crate) fn all(archives: &[Archive]) -> impl Iterator<Item = Lying> {
        archives.iter().enumerate().flat_map(|(archive, found)| {
            found.groups().iter().enumerate().flat_map(move |(group, found)| {
                let lying = move |member| Lying { archive: archive as u32, group: group as u32, member };
                (0..found.index.len() as u32).map(lying)
            })
        })
    }

    /// The member.
    pub(crate) fn member(self, archives: &[Archive]) -> Member<'_> {
        archives[self.archive as usize].groups[self.group as usize].index.get(self.member as usize)
    }
}

/// An image and its label.
pub(crate) type Labelled = (Lying, u32);

/// Labelled members of archives.
pub(crate) struct Archived {
    archives: Arc<Vec<Archive>>,
    images: Vec<Labelled>,
    exif: bool,
}

impl Archived {
    /// These members with these labels, in this order.
    pub(crate) fn new(archives: Arc<Vec<Archive>>, images: Vec<Labelled>, exif: bool) -> Archived {
        Archived { archives, images, exif }
    }
}

impl Source for Archived {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn label(&self, index: usize) -> u32 {
        self.images[index].1
    }

    fn name(&self, index: usize) -> Cow<'_, str> {
        let lying = self.images[index].0;
        let archive = &self.archives[lying.archive as usize];
        let (path, name) = (archive.path().display(), lying.member(&self.archives).name);
        match archive.groups[lying.group as usize].inner.as_str() {
            "" => format!("{path}/{name}"),
            inner => format!("{path}/{inner}/{name}"),
        }
        .into()
    }

    fn fetch<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> Result<Content<'a>> {
        let lying = self.images[index].0;
        let member = lying.member(&self.archives);
        // It was seen to lie within the archive, so there are as many bytes.
        buffer.resize(member.length as usize, 0);
        let read = self.archives[lying.archive as usize].read(buffer, member.offset);
        read.map_err(|source| Error::File { name: self.name(index).into_owned(), source })?;
        Ok(Content::Encoded { bytes: buffer, exif: self.exif })
    }

    fn announce(&self, indices: &[u32]) {
        for &index in indices {
            let lying = self.images[index as usize].0;
            let member = lying.member(&self.archives);
            self.archives[lying.archive as usize].announce(member.offset, member.length);
        }
    }
}
