//! ImageNet of 2012 and of 2010, as downloaded or unpacked.
//!
//! Training images lie in `ILSVRC<year>_img_train.tar` (`ILSVRC2010_images_train.tar`), which holds an archive for each class, or in `train/CLASS/*`, or in
//! `train/CLASS.tar`; validation images in `ILSVRC<year>_img_val.tar` or in `val`, without a word about their classes. Those are
//! in the devkit: line i is of the i-th image *by name*, for members of the archive stand in another order. Kaggle's copy
//! has the same folders below `ILSVRC/Data/CLS-LOC`, and says the classes by name.
//!
//! Images come class by class and sorted by name, so that the data set is the same however much of it is unpacked.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::devkit::{self, Devkit};
use super::files::Files;
use super::folders::{self, Scan, entries, has_extension_of_image, has_folders, is_image};
use super::{LabelOrder, OpenOptions, name_of, split, words};
use crate::archives::{self, Archive, Archived, Lying};
use crate::error::{count, some};
use crate::synsets::is_wnid;
use crate::{Dataset, Error, Result, Source};

/// Opens what is described above.
///
/// # Errors
/// Where an archive is damaged, or the labels of validation images are not to be found.
pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Option<Dataset>> {
    let mut notes = Vec::new();
    let Some(found) = Found::at(path, &mut notes)? else { return Ok(None) };
    let kit = Devkit::read(path, found.year)?;
    let lying = found.archives(&mut notes)?;
    let train = match &found.train {
        Some(place) => Some(Images::of(place, &lying, &mut notes)?),
        None => None,
    };
    let names = match (&train, &kit) {
        (Some(train), _) => train.names(),
        (None, Some(kit)) => {
            notes.push("there are no training images".into());
            kit.synsets.leaves().map(|(_, synset)| synset.wnid.clone()).collect::<BTreeSet<_>>().into_iter().collect()
        }
        (None, None) => return Err(devkit::lacking(path, "the classes of validation images are in")),
    };
    let labels = Labels::new(&names, kit.as_ref(), options.label_order, path)?;
    let (train, val) = match (train, &found.val) {
        (train, Some(val)) => {
            let train = train.map(|train| train.source(&labels, options));
            (train, val.source(&found, &names, &labels, kit.as_ref(), &lying, options, &mut notes)?)
        }
        (Some(train), None) => {
            let (train, val) = train.divide(options, &mut notes);
            (Some(train.source(&labels, options)), val.source(&labels, options))
        }
        (None, None) => return Err(Error::Layout { path: path.into(), found: "it holds neither train nor val".into() }),
    };
    if let Some(kit) = &kit {
        let all = kit.synsets.leaves().count();
        let known = kit.synsets.leaves().filter(|(_, synset)| labels.of(&synset.wnid).is_some()).count();
        if known < all {
            notes.push(format!("{known} of the devkit's {} are there", count(all, "class", "classes")));
        }
    }
    let words = kit.map_or_else(Vec::new, |kit| words::of(&labels.classes, &kit.words()));
    let train = train.unwrap_or_else(|| Arc::new(Archived::new(Arc::default(), Vec::new(), options.exif)));
    Ok(Some(Dataset { name: name_of(path), layout: found.name(), classes: labels.classes, words, train, val, notes }))
}

/// What lies where.
struct Found {
    path: PathBuf,
    year: u16,
    train: Option<Place>,
    val: Option<Val>,
    /// Kaggle's list of the validation images' classes.
    solution: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// An archive of images, or of archives of images.
    Archive(PathBuf),
    /// A folder of an archive for each class.
    Archives(PathBuf),
    /// A folder of class folders.
    Classes(PathBuf),
    /// A folder of images.
    Flat(PathBuf),
}

struct Val {
    place: Place,
    is_test: bool,
}

impl Found {
    fn at(path: &Path, notes: &mut Vec<String>) -> Result<Option<Found>> {
        if !path.is_dir() {
            return Ok(None);
        }
        let archive = |year: u16, split: &str| {
            // Those of 2010 are called `images`.
            let names = ["img", "images"].map(|what| path.join(format!("ILSVRC{year}_{what}_{split}.tar")));
            names.into_iter().find(|path| path.is_file())
        };
        let years = [2012, 2010].map(|year| (year, ["train", "val", "test"].map(|split| archive(year, split))));
        let archived = years.iter().filter(|(year, [train, val, test])| {
            // The test images of 2012 have no labels.
            train.is_some() || val.is_some() || *year == 2010 && test.is_some()
        });
        let archived: Vec<u16> = archived.map(|(year, _)| *year).collect();
        if archived.len() > 1 {
            let found = "it holds archives of 2012 and of 2010, which belong into a folder each".into();
            return Err(Error::Layout { path: path.into(), found });
        }
        let of_kit = || [2012, 2010].into_iter().find(|&year| devkit::path(path, year).is_some());
        let year = archived.first().copied().or_else(of_kit);
        let kaggle = ["ILSVRC/Data/CLS-LOC", "Data/CLS-LOC"].map(|below| path.join(below)).into_iter().find(|path| path.is_dir());
        let root = kaggle.as_deref().unwrap_or(path);
        let [train, val, test] = ["train", "val", "test"].map(|split| folder(&root.join(split)));
        let (train, val, test) = (train?, val?, test?);
        let is_ours = match (&train, &val) {
            (Some(Place::Archives(_)), _) => true,
            // Caffe's lists say the classes as well.
            (Some(Place::Classes(train)), Some(Place::Flat(_))) => has_wnids(train)? && !path.join("val.txt").is_file(),
            _ => false,
        };
        if archived.is_empty() && kaggle.is_none() && !is_ours && !(year.is_some() && (train.is_some() || val.is_some())) {
            return Ok(None);
        }
        let year = year.unwrap_or(2012);
        let mut first = |split: &str, place: Option<Place>| match (archive(year, split), place) {
            (Some(archive), place) => {
                if place.is_some() {
                    notes.push(format!("{} is read, not the folder `{split}`", archive.display()));
                }
                Some(Place::Archive(archive))
            }
            (None, place) => place,
        };
        let train = first("train", train);
        let mut val = first("val", val).map(|place| Val { place, is_test: false });
        if val.is_none() && year == 2010 {
            val = first("test", test).map(|place| Val { place, is_test: true });
            if val.is_some() {
                notes.push("there is no `val`: validating on `test`".into());
            }
        }
        let solution = Some(path.join("LOC_val_solution.csv")).filter(|path| path.is_file());
        Ok(Some(Found { path: path.into(), year, train, val, solution }))
    }

    /// What to call the layout.
    fn name(&self) -> &'static str {
        match self.year {
            2010 => "ImageNet of 2010",
            _ => "ImageNet of 2012",
        }
    }

    /// The archives of this data set, opened.
    fn archives(&self, notes: &mut Vec<String>) -> Result<Arc<Vec<Archive>>> {
        let mut paths = Vec::new();
        for place in self.train.iter().chain(self.val.as_ref().map(|val| &val.place)) {
            if let Place::Archive(path) = place {
                paths.push(path.clone());
            }
        }
        let mut all = archives::open(&paths, true, notes)?;
        if let Some(Place::Archives(folder)) = &self.train {
            let mut paths: Vec<PathBuf> = entries(folder)?.into_iter().map(|entry| folder.join(entry.name)).collect();
            paths.retain(|path| is_tar(path));
            paths.sort();
            all.extend(archives::open(&paths, false, notes)?);
        }
        Ok(Arc::new(all))
    }
}

/// What a folder of images is; `None` where there is none, or nothing in it.
fn folder(path: &Path) -> Result<Option<Place>> {
    if !path.is_dir() {
        return Ok(None);
    }
    if has_folders(path)? {
        return Ok(Some(Place::Classes(path.into())));
    }
    let files = entries(path)?;
    let of_class = |path: &Path| is_tar(path) && is_wnid(stem(path));
    if files.iter().any(|entry| of_class(Path::new(&entry.name))) {
        return Ok(Some(Place::Archives(path.into())));
    }
    Ok(files.iter().any(|entry| is_image(&path.join(&entry.name))).then(|| Place::Flat(path.into())))
}

fn has_wnids(folder: &Path) -> Result<bool> {
    Ok(entries(folder)?.iter().any(|entry| entry.is_dir && entry.name.to_str().is_some_and(is_wnid)))
}

fn is_tar(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tar"))
}

fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("")
}

/// Images by class.
enum Images {
    Files(Scan),
    /// Sorted by class, then by name.
    Members(Arc<Vec<Archive>>, Vec<(String, Vec<Lying>)>),
}

impl Images {
    fn of(place: &Place, archives: &Arc<Vec<Archive>>, notes: &mut Vec<String>) -> Result<Images> {
        Ok(match place {
            Place::Classes(folder) | Place::Flat(folder) => Images::Files(Scan::of(folder, notes)?),
            Place::Archive(path) | Place::Archives(path) => {
                Images::Members(Arc::clone(archives), members_by_class(path, archives, notes)?)
            }
        })
    }

    /// The classes, sorted.
    fn names(&self) -> Vec<String> {
        match self {
            Images::Files(scan) => scan.names(),
            Images::Members(_, classes) => classes.iter().map(|(name, _)| name.clone()).collect(),
        }
    }

    /// Into those to learn from and those to validate on.
    fn divide(self, options: &OpenOptions, notes: &mut Vec<String>) -> (Images, Images) {
        match self {
            Images::Files(scan) => {
                let (train, val) = folders::split(scan, options, notes);
                (Images::Files(train), Images::Files(val))
            }
            Images::Members(archives, classes) => {
                let (mut train, mut val) = (Vec::new(), Vec::new());
                for (number, (name, images)) in classes.into_iter().enumerate() {
                    let (kept, given) = split::divide(images, number as u32, options);
                    train.push((name.clone(), kept));
                    val.push((name, given));
                }
                let images = |part: &[(String, Vec<Lying>)]| part.iter().map(|(_, images)| images.len()).sum::<usize>();
                notes.push(split::split_note("folder", images(&val), images(&train) + images(&val), options));
                (Images::Members(Arc::clone(&archives), train), Images::Members(archives, val))
            }
        }
    }

    /// As a source; every class has a label.
    fn source(self, labels: &Labels, options: &OpenOptions) -> Arc<dyn Source> {
        let label = |name: &str| labels.of(name).unwrap_or_default();
        match self {
            Images::Files(scan) => Arc::new(scan.files(label, options.exif)),
            Images::Members(archives, classes) => {
                let labelled = classes.into_iter().flat_map(|(name, images)| {
                    let label = label(&name);
                    images.into_iter().map(move |image| (image, label))
                });
                let images = labelled.collect();
                Arc::new(Archived::new(archives, images, options.exif))
            }
        }
    }
}

/// The images in archives below `path` by class: the name of the inner archive, of the folder, or of the archive itself.
fn members_by_class(path: &Path, archives: &[Archive], notes: &mut Vec<String>) -> Result<Vec<(String, Vec<Lying>)>> {
    let mut classes: BTreeMap<String, Vec<Lying>> = BTreeMap::new();
    let mut ignored = 0;
    for (archive, found) in archives.iter().enumerate().filter(|(_, found)| found.path().starts_with(path)) {
        for (group, found_group) in found.groups().iter().enumerate() {
            let of_group = match found_group.inner.as_str() {
                "" => Some(stem(found.path())).filter(|name| is_wnid(name)),
                inner => Some(stem(Path::new(inner))),
            };
            if let Some(name) = of_group {
                classes.entry(name.into()).or_default();
            }
            for (member, lies) in found_group.index.iter().enumerate() {
                let of_member = || Path::new(lies.name).parent().and_then(Path::file_name).and_then(|name| name.to_str());
                match of_group.or_else(of_member).filter(|name| !name.is_empty() && is_member_an_image(lies.name)) {
                    Some(name) => classes.entry(name.into()).or_default().push(Lying {
                        archive: archive as u32,
                        group: group as u32,
                        member: member as u32,
                    }),
                    // Archives within are looked into.
                    None => ignored += usize::from(!is_tar(Path::new(lies.name))),
                }
            }
        }
    }
    if let Some((class, _)) = classes.iter().find(|(_, images)| images.is_empty()) {
        return Err(Error::EmptyClass {
            class: class.clone(),
            path: path.join(format!("{class}.tar")),
            found: "no image".into(),
            others: 0,
        });
    }
    if classes.is_empty() {
        return Err(Error::Layout { path: path.into(), found: "there are no images of classes in it".into() });
    }
    note_ignored(ignored, path, notes);
    for images in classes.values_mut() {
        images.sort_by_cached_key(|image| file_name(image.member(archives).name).to_string());
    }
    Ok(classes.into_iter().collect())
}

fn note_ignored(members: usize, path: &Path, notes: &mut Vec<String>) {
    if members > 0 {
        notes.push(format!(
            "in {}: ignored {}",
            path.display(),
            count(members, "file that is no image", "files that are no images")
        ));
    }
}

fn is_member_an_image(name: &str) -> bool {
    !file_name(name).starts_with('.') && has_extension_of_image(Path::new(name))
}

fn file_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Labels of classes.
struct Labels {
    /// By label.
    classes: Vec<String>,
    by_name: BTreeMap<String, u32>,
}

impl Labels {
    /// Of `names`, which are sorted.
    fn new(names: &[String], kit: Option<&Devkit>, order: LabelOrder, path: &Path) -> Result<Labels> {
        let mut classes = names.to_vec();
        if order == LabelOrder::Devkit {
            let kit = kit.ok_or_else(|| devkit::lacking(path, "labels in the order of the devkit need"))?;
            let ids: BTreeMap<&str, u32> = kit.synsets.leaves().map(|(id, synset)| (synset.wnid.as_str(), id)).collect();
            let unknown: Vec<String> = names.iter().filter(|name| !ids.contains_key(name.as_str())).cloned().collect();
            if !unknown.is_empty() {
                let message =
                    format!("the devkit does not know {}: {}", count(unknown.len(), "class", "classes"), some(&unknown));
                return Err(Error::Description { path: path.into(), message });
            }
            classes.sort_by_key(|name| ids[name.as_str()]);
        }
        let by_name = classes.iter().zip(0..).map(|(name, label)| (name.clone(), label)).collect();
        Ok(Labels { classes, by_name })
    }

    fn of(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }
}

impl Val {
    fn source(
        &self,
        found: &Found,
        names: &[String],
        labels: &Labels,
        kit: Option<&Devkit>,
        archives: &Arc<Vec<Archive>>,
        options: &OpenOptions,
        notes: &mut Vec<String>,
    ) -> Result<Arc<dyn Source>> {
        match &self.place {
            Place::Classes(folder) => {
                let scan = folders::matched(names, Scan::of(folder, notes)?, folder, notes)?;
                Ok(Images::Files(scan).source(labels, options))
            }
            Place::Flat(folder) | Place::Archives(folder) => {
                let mut files: Vec<OsString> = entries(folder)?.into_iter().map(|entry| entry.name).collect();
                let all = files.len();
                files.retain(|name| is_image(&folder.join(name)));
                note_ignored(all - files.len(), folder, notes);
                files.sort();
                let shown: Vec<_> = files.iter().map(|name| name.to_string_lossy()).collect();
                let shown: Vec<&str> = shown.iter().map(AsRef::as_ref).collect();
                let truth = self.truth(folder, &shown, found, labels, kit)?;
                let mut source = Files::new(options.exif);
                let number = source.folder(folder.clone());
                truth.into_iter().zip(files).for_each(|(label, file)| source.push(number, label, file));
                Ok(Arc::new(source))
            }
            Place::Archive(path) => {
                let own = |lying: &Lying| archives[lying.archive as usize].path() == path;
                let mut images: Vec<Lying> = Lying::all(archives).filter(own).collect();
                let all = images.iter().filter(|lying| !is_tar(Path::new(lying.member(archives).name))).count();
                images.retain(|lying| is_member_an_image(lying.member(archives).name));
                note_ignored(all - images.len(), path, notes);
                images.sort_by_key(|lying| file_name(lying.member(archives).name));
                let names: Vec<&str> = images.iter().map(|lying| file_name(lying.member(archives).name)).collect();
                let truth = self.truth(path, &names, found, labels, kit)?;
                let images = images.iter().copied().zip(truth).collect();
                Ok(Arc::new(Archived::new(Arc::clone(archives), images, options.exif)))
            }
        }
    }

    /// The labels of images at `path`, whose names are sorted.
    fn truth(&self, path: &Path, names: &[&str], found: &Found, labels: &Labels, kit: Option<&Devkit>) -> Result<Vec<u32>> {
        let solution;
        let classes: Vec<&str> = match (&found.solution, kit) {
            (Some(list), _) => {
                solution = devkit::solution(list)?;
                let class = |name: &&str| {
                    let message = || format!("no line is about the image {name}");
                    let class = solution.get(stem(Path::new(name))).map(String::as_str);
                    class.ok_or_else(|| Error::Description { path: list.clone(), message: message() })
                };
                names.iter().map(class).collect::<Result<_>>()?
            }
            (None, Some(kit)) => kit.truth(self.is_test, names.len())?,
            (None, None) => {
                return Err(devkit::lacking_truth(&found.path, path));
            }
        };
        let unknown: BTreeSet<&str> = classes.iter().copied().filter(|class| labels.of(class).is_none()).collect();
        if !unknown.is_empty() {
            let classes = unknown.into_iter().map(String::from).collect();
            return Err(Error::UnknownClasses { path: path.into(), classes });
        }
        Ok(classes.iter().filter_map(|class| labels.of(class)).collect())
    }
}
