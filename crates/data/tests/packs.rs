//! Packs: what is packed is what is read, whatever stops the packing, and no damage goes unseen.

mod pictures;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow::{self, Break, Continue};
use std::path::Path;
use std::sync::Arc;

use data::pack::{Chroma, Encoding, Job, Prepared, Progress, Settings, Store, prepare, verify};
use data::{
    BadImages, Channels, Content, Dataset, Error, Filter, Fit, Image, OpenOptions, Preprocessing, Region, Resizer, Source,
    Statistics,
};
use pictures::Pictures;

fn words(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

/// A data set of made-up images: seven classes.
fn made_up(train: Pictures, val: Pictures) -> Dataset {
    Dataset {
        name: "made-up".into(),
        layout: "made up",
        classes: words(&["a", "b", "c", "d", "e", "f", "g"]),
        words: words(&["ant", "bee", "cow", "dog", "eel", "fox", "gnu"]),
        train: Arc::new(train),
        val: Arc::new(val),
        notes: vec![],
    }
}

fn wild(images: usize, bad: &[usize]) -> Pictures {
    Pictures { images, side: 12, square: false, bad: bad.into() }
}

fn small() -> Settings {
    Settings { side: 8, shard_images: 5, ..Settings::default() }
}

fn pack_with(dataset: &Dataset, out: &Path, settings: &Settings, threads: usize, bad: BadImages) -> data::Result<Prepared> {
    let job = Job { dataset, path: Path::new("nowhere"), settings, threads, bad_images: bad };
    prepare(&job, out, &mut |_| Continue(()))
}

fn pack(dataset: &Dataset, out: &Path, settings: &Settings) -> Prepared {
    pack_with(dataset, out, settings, 2, BadImages::Stop).expect("good images are packed")
}

fn open(out: &Path) -> Dataset {
    data::open(out, &OpenOptions::default()).expect("a whole pack opens")
}

/// Every file but the lock.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|e| (e.file_name().into_string().unwrap(), e.path())).filter(|(name, _)| name != ".lock");
    named.map(|(name, path)| (name, fs::read(path).unwrap())).collect()
}

fn checked(out: &Path) -> data::pack::Verified {
    verify(out, 2, &mut |_, _| Continue(())).expect("there is a pack")
}

/// Index in `source` of the image called `name`.
fn by_name(source: &dyn Source, name: &str) -> usize {
    (0..source.len()).find(|&i| source.name(i) == name).expect("the name is a source's")
}

/// The image as a crop or side pack stores it, before it is encoded.
fn stored(image: &Image, side: usize, crop: bool) -> Image {
    let (w, h) = (image.width, image.height);
    let shorter = w.min(h);
    let scaled = |n: usize| (2 * side * n + shorter) / (2 * shorter);
    let (wide, tall) = (scaled(w), scaled(h));
    let region = match crop {
        true => Region { y: (tall - side) / 2, x: (wide - side) / 2, height: side, width: side },
        false => Region { y: 0, x: 0, height: tall, width: wide },
    };
    let mut rgb = Vec::new();
    Resizer::default().resize(image.into(), wide, tall, Filter::Bilinear, region, &mut rgb);
    Image { width: region.width, height: region.height, rgb }
}

#[test]
fn what_is_packed_is_what_is_read() {
    let dataset = made_up(wild(23, &[]), wild(11, &[]));
    for (store, format) in [
        (Store::Crop, Encoding::Jpeg),
        (Store::Crop, Encoding::Pixels),
        (Store::Side, Encoding::Jpeg),
        (Store::Side, Encoding::Pixels),
        (Store::Raw, Encoding::Jpeg),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { store, format, quality: 95, chroma: Chroma::Full, ..small() };
        let prepared = pack(&dataset, folder.path(), &settings);
        assert_eq!((prepared.made, prepared.manifest.train.shards.len(), prepared.manifest.val.shards.len()), (34, 5, 3));
        let packed = open(folder.path());
        assert_eq!((&packed.classes, &packed.words), (&dataset.classes, &dataset.words));
        for (packed, source) in [(&packed.train, &dataset.train), (&packed.val, &dataset.val)] {
            assert_eq!(packed.len(), source.len());
            packed.announce(&(0..packed.len() as u32).collect::<Vec<_>>());
            let mut seen = vec![false; source.len()];
            for i in 0..packed.len() {
                let of = by_name(&**source, &packed.name(i));
                assert!(!std::mem::replace(&mut seen[of], true), "each image once");
                assert_eq!(packed.label(i), source.label(of));
                let (image, original) = (packed.read(i).unwrap(), source.read(of).unwrap());
                let expected = if store == Store::Raw { original } else { stored(&original, 8, store == Store::Crop) };
                assert_eq!((image.width, image.height), (expected.width, expected.height));
                if format == Encoding::Pixels || store == Store::Raw {
                    assert_eq!(image, expected);
                } else {
                    let distance: u32 = image.rgb.iter().zip(&expected.rgb).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum();
                    let rms = (f64::from(distance) / image.rgb.len() as f64).sqrt();
                    assert!(rms < 6.0, "{store} {format}: a JPEG of quality 95 differs by {rms} on noise of 37");
                }
            }
        }
        let order: Vec<_> = (0..23).map(|i| packed.train.name(i).into_owned()).collect();
        assert!(!order.is_sorted(), "training images are shuffled");
        assert!((0..11).map(|i| packed.val.name(i).into_owned()).is_sorted(), "validation images are not");
        let found = checked(folder.path());
        assert_eq!((found.intact, found.damage), (34, vec![]));
        let bytes: usize = files(folder.path()).values().map(Vec::len).sum();
        assert_eq!(found.bytes, bytes as u64, "every byte is looked at");
    }
}

#[test]
fn files_are_kept_byte_by_byte_and_pixels_are_borrowed() {
    let source = tempfile::tempdir().unwrap();
    for (class, images) in [("cat", 5), ("dog", 4)] {
        fs::create_dir_all(source.path().join(class)).unwrap();
        for i in 0..images {
            let rgb: Vec<u8> = (0..20 * 14 * 3).map(|v| (v * (i + 3) % 255) as u8).collect();
            let mut file = Vec::new();
            jpeg_encoder::Encoder::new(&mut file, 85).encode(&rgb, 20, 14, jpeg_encoder::ColorType::Rgb).unwrap();
            fs::write(source.path().join(class).join(format!("{i}.jpg")), file).unwrap();
        }
    }
    let dataset = data::open(source.path(), &OpenOptions::default()).unwrap();
    for (store, format) in [(Store::Raw, Encoding::Jpeg), (Store::Crop, Encoding::Pixels)] {
        let out = tempfile::tempdir().unwrap();
        let settings = Settings { store, format, ..small() };
        let job = Job { dataset: &dataset, path: source.path(), settings: &settings, threads: 1, bad_images: BadImages::Stop };
        prepare(&job, out.path(), &mut |_| Continue(())).unwrap();
        let packed = open(out.path());
        for i in 0..packed.train.len() {
            let name = packed.train.name(i).into_owned();
            assert!(name.starts_with("cat/") || name.starts_with("dog/"), "`{name}` is a name within the data set");
            let mut buffer = Vec::new();
            match packed.train.fetch(i, &mut buffer).unwrap() {
                Content::Encoded { bytes, exif: true } => assert_eq!(bytes, fs::read(source.path().join(&name)).unwrap()),
                Content::Pixels { width: 8, height: 8, rgb } => assert_eq!(rgb.len(), 192),
                other => panic!("{other:?}"),
            }
            assert_eq!(buffer.capacity(), 0, "nothing is copied");
        }
    }
}

/// Smooth colours, as photographs have them.
struct Smooth;

impl Source for Smooth {
    fn len(&self) -> usize {
        3
    }

    fn label(&self, _index: usize) -> u32 {
        0
    }

    fn name(&self, index: usize) -> Cow<'_, str> {
        index.to_string().into()
    }

    fn fetch<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> data::Result<Content<'a>> {
        let (width, height) = (96 + 8 * index, 128);
        let value = |y: usize, x: usize| [(2 * x) as u8, (y + 100 - x / 2) as u8, (255 - 3 * y / 2) as u8];
        let rgb = (0..height).flat_map(|y| (0..width).flat_map(move |x| value(y, x))).collect();
        Ok(Image { width, height, rgb }.keep_in(buffer))
    }
}

#[test]
fn jpegs_of_either_chroma_look_like_their_images() {
    let dataset = Dataset { train: Arc::new(Smooth), ..made_up(wild(0, &[]), wild(0, &[])) };
    for chroma in [Chroma::Quarter, Chroma::Full] {
        let out = tempfile::tempdir().unwrap();
        pack(&dataset, out.path(), &Settings { side: 64, chroma, ..small() });
        let packed = open(out.path());
        for i in 0..3 {
            let image = packed.train.read(i).unwrap();
            let expected = stored(&Smooth.read(by_name(&Smooth, &packed.train.name(i))).unwrap(), 64, true);
            let worst = image.rgb.iter().zip(&expected.rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(worst <= 12, "{chroma}: a value of a smooth image is off by {worst}");
        }
    }
}

#[test]
fn any_number_of_threads_writes_the_same_bytes() {
    let dataset = made_up(wild(40, &[3, 17]), wild(9, &[0]));
    let bytes = |threads| {
        let out = tempfile::tempdir().unwrap();
        pack_with(&dataset, out.path(), &small(), threads, BadImages::Skip).unwrap();
        files(out.path())
    };
    let one = bytes(1);
    assert_eq!(one.len(), 8 + 2 + 2);
    assert_eq!(one, bytes(3));
    assert_eq!(one, bytes(16));
}

#[test]
fn a_pack_stopped_anywhere_and_gone_on_with_has_the_same_bytes() {
    let dataset = made_up(wild(23, &[]), wild(6, &[]));
    let whole = tempfile::tempdir().unwrap();
    pack(&dataset, whole.path(), &small());
    let expected = files(whole.path());
    let job = Job { dataset: &dataset, path: Path::new("nowhere"), settings: &small(), threads: 2, bad_images: BadImages::Stop };
    // 29 images are packed and 23 measured.
    for stop_at in 1..=52 {
        let out = tempfile::tempdir().unwrap();
        let mut calls = 0;
        let stopped = prepare(&job, out.path(), &mut |_| {
            calls += 1;
            if calls == stop_at { Break(()) } else { Continue(()) }
        });
        assert!(matches!(stopped, Err(Error::Stopped { .. })), "at {stop_at}: {stopped:?}");
        let error = data::open(out.path(), &OpenOptions::default()).unwrap_err();
        assert!(matches!(error, Error::Unfinished { .. }), "{error}");
        assert!(files(out.path()).keys().all(|name| !name.ends_with(".partial")), "nothing half-written stays");
        // What a process leaves that is killed instead of asked.
        fs::write(out.path().join("train-00003.shard.partial"), b"half").unwrap();
        fs::write(out.path().join(".pack.json.77.tmp"), b"half").unwrap();
        let mut kept = None;
        let mut progress = |p| {
            if let Progress::Packing { kept: k, .. } = p {
                kept = Some(k);
            }
            Continue(())
        };
        prepare(&job, out.path(), &mut progress).unwrap();
        assert_eq!(files(out.path()), expected, "stopped at {stop_at}");
        if let Some(kept) = kept {
            assert_eq!(kept, if stop_at <= 23 { (stop_at - 1) / 5 * 5 } else { 23 + (stop_at - 24) / 5 * 5 });
        }
    }
}

#[test]
fn a_missing_or_torn_shard_is_made_again_and_a_whole_pack_stays() {
    let dataset = made_up(wild(13, &[]), wild(6, &[]));
    let out = tempfile::tempdir().unwrap();
    pack(&dataset, out.path(), &small());
    let expected = files(out.path());
    let job = Job { dataset: &dataset, path: Path::new(""), settings: &small(), threads: 2, bad_images: BadImages::Stop };
    let again = prepare(&job, out.path(), &mut |progress| panic!("there is nothing to do, but {progress:?}")).unwrap();
    assert_eq!((again.made, files(out.path())), (0, expected.clone()));
    fs::remove_file(out.path().join("statistics.safetensors")).unwrap();
    let again = pack(&dataset, out.path(), &small());
    assert_eq!((again.made, files(out.path())), (0, expected.clone()));
    fs::remove_file(out.path().join("train-00001.shard")).unwrap();
    let shard = &expected["val-00000.shard"];
    fs::write(out.path().join("val-00000.shard"), &shard[..shard.len() - 1]).unwrap();
    let again = pack(&dataset, out.path(), &small());
    assert_eq!((again.made, files(out.path())), (10, expected.clone()));
    // Without its manifest it is what its shards say that it is.
    fs::remove_file(out.path().join("pack.json")).unwrap();
    let other = pack_with(&dataset, out.path(), &Settings { quality: 3, ..small() }, 1, BadImages::Stop).unwrap_err();
    assert!(matches!(other, Error::PackDiffers { .. }), "{other}");
    fs::remove_file(out.path().join("prepare.json")).unwrap();
    let again = pack(&dataset, out.path(), &small());
    assert_eq!((again.made, files(out.path())), (0, expected));
}

#[test]
fn a_pack_whose_making_was_killed_at_its_very_end_is_whole() {
    let dataset = made_up(wild(13, &[]), wild(6, &[]));
    let [out, begun] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    pack(&dataset, out.path(), &small());
    let expected = files(out.path());
    let job = Job { dataset: &dataset, path: Path::new("nowhere"), settings: &small(), threads: 2, bad_images: BadImages::Stop };
    assert!(prepare(&job, begun.path(), &mut |_| Break(())).is_err());
    fs::copy(begun.path().join("prepare.json"), out.path().join("prepare.json")).unwrap();
    assert_eq!(open(out.path()).train.len(), 13);
    let again = prepare(&job, out.path(), &mut |progress| panic!("there is nothing to do, but {progress:?}")).unwrap();
    assert_eq!(again.made, 0);
    assert!(files(out.path()) == expected);
}

#[test]
fn other_settings_or_images_are_refused_by_name() {
    let dataset = made_up(wild(13, &[]), wild(6, &[]));
    let out = tempfile::tempdir().unwrap();
    pack(&dataset, out.path(), &small());
    let before = files(out.path());
    let refused = |dataset: &Dataset, settings: Settings| {
        let error = pack_with(dataset, out.path(), &settings, 1, BadImages::Stop).unwrap_err();
        assert_eq!(files(out.path()), before, "nothing was touched");
        error.to_string()
    };
    let text = refused(&dataset, Settings { side: 9, format: Encoding::Pixels, ..small() });
    assert!(text.contains("`side` was 8, now 9") && text.contains("`format` was jpeg, now pixels"), "{text}");
    let text = refused(&made_up(wild(14, &[]), wild(6, &[])), small());
    assert!(text.contains("13 training and 6 validation images, now it has 7 classes, 14 training"), "{text}");
    let mut renamed = dataset.clone();
    renamed.classes[2] = "x".into();
    assert!(refused(&renamed, small()).contains("are others than"));
}

#[test]
fn a_folder_that_holds_something_else_or_is_in_use_is_left_alone() {
    let dataset = made_up(wild(6, &[]), wild(2, &[]));
    let out = tempfile::tempdir().unwrap();
    fs::write(out.path().join("thesis.tex"), b"text").unwrap();
    let error = pack_with(&dataset, out.path(), &small(), 1, BadImages::Stop).unwrap_err();
    assert!(matches!(&error, Error::Occupied { found, .. } if found == "thesis.tex"), "{error}");
    fs::remove_file(out.path().join("thesis.tex")).unwrap();
    let job = Job { dataset: &dataset, path: Path::new(""), settings: &small(), threads: 1, bad_images: BadImages::Stop };
    let mut second = None;
    prepare(&job, out.path(), &mut |_| {
        second.get_or_insert_with(|| prepare(&job, out.path(), &mut |_| Continue(())));
        Continue(())
    })
    .unwrap();
    assert!(matches!(second, Some(Err(Error::PackInUse { .. }))), "{second:?}");
    for (settings, part) in [
        (Settings { side: 0, ..small() }, "side of 0"),
        (Settings { quality: 0, ..small() }, "quality of 0"),
        (Settings { shard_images: 0, ..small() }, "at least 1"),
    ] {
        let error = pack_with(&dataset, out.path(), &settings, 1, BadImages::Stop).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    let none = made_up(wild(0, &[]), wild(0, &[]));
    assert!(matches!(pack_with(&none, out.path(), &small(), 1, BadImages::Stop), Err(Error::Empty { .. })));
}

#[test]
fn bad_images_stop_are_left_out_or_are_all_reported() {
    let dataset = made_up(wild(12, &[2, 9]), wild(4, &[1]));
    let out = tempfile::tempdir().unwrap();
    let error = pack_with(&dataset, out.path(), &small(), 2, BadImages::Stop).unwrap_err();
    assert!(error.bad_image().is_some(), "{error}");
    match pack_with(&dataset, out.path(), &small(), 2, BadImages::Report).unwrap_err() {
        Error::BadImages { bad } => {
            let names: Vec<_> = bad.iter().map(|b| &b.name[..]).collect();
            assert_eq!(names, ["picture 001", "picture 002", "picture 009"]);
        }
        other => panic!("{other}"),
    }
    assert!(data::open(out.path(), &OpenOptions::default()).is_err(), "no pack yet");
    let prepared = pack_with(&dataset, out.path(), &small(), 2, BadImages::Skip).unwrap();
    assert_eq!(prepared.manifest.omitted.iter().filter(|o| o.split == data::Split::Train).count(), 2);
    assert!(prepared.manifest.omitted.iter().all(|o| o.reason.contains("not an image")));
    let packed = open(out.path());
    assert_eq!((packed.train.len(), packed.val.len()), (10, 3));
    assert!(packed.notes[0].contains("3 images"), "{:?}", packed.notes);
    // Repaired images are taken in.
    let repaired = made_up(wild(12, &[]), wild(4, &[]));
    pack(&repaired, out.path(), &small());
    assert_eq!((open(out.path()).train.len(), checked(out.path()).damage), (12, vec![]));
    let all = made_up(wild(3, &[0, 1, 2]), wild(0, &[]));
    let out = tempfile::tempdir().unwrap();
    assert!(matches!(pack_with(&all, out.path(), &small(), 2, BadImages::Skip), Err(Error::AllBad { images: 3, .. })));
}

/// Pictures with lines and tabs in their names.
struct Odd(Pictures);

impl Source for Odd {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn label(&self, index: usize) -> u32 {
        self.0.label(index)
    }

    fn name(&self, index: usize) -> Cow<'_, str> {
        format!("odd\n{index}\t.png").into()
    }

    fn fetch<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> data::Result<Content<'a>> {
        self.0.fetch(index, buffer).map_err(|error| match error {
            Error::Image { source, .. } => Error::Image { name: self.name(index).into_owned(), source },
            other => other,
        })
    }
}

#[test]
fn images_of_any_name_are_left_out_with_the_same_bytes_at_once_or_later() {
    let dataset = Dataset { train: Arc::new(Odd(wild(12, &[2, 9]))), ..made_up(wild(0, &[]), wild(4, &[])) };
    let out = tempfile::tempdir().unwrap();
    pack_with(&dataset, out.path(), &small(), 2, BadImages::Skip).unwrap();
    let expected = files(out.path());
    assert!(open(out.path()).train.name(0).starts_with("odd\n"), "names of records are not changed");
    fs::remove_file(out.path().join("val-00000.shard")).unwrap();
    pack_with(&dataset, out.path(), &small(), 2, BadImages::Skip).unwrap();
    assert!(files(out.path()) == expected, "kept shards tell of their images what new ones do");
}

#[test]
fn a_whole_pack_stays_whole_where_nothing_can_be_made_of_it_anew() {
    let dataset = made_up(wild(12, &[2, 9]), wild(4, &[]));
    let out = tempfile::tempdir().unwrap();
    pack_with(&dataset, out.path(), &small(), 2, BadImages::Skip).unwrap();
    let expected = files(out.path());
    let error = pack_with(&dataset, out.path(), &small(), 2, BadImages::Stop).unwrap_err();
    assert!(error.bad_image().is_some(), "{error}");
    let job = Job { dataset: &dataset, path: Path::new(""), settings: &small(), threads: 2, bad_images: BadImages::Report };
    assert!(matches!(prepare(&job, out.path(), &mut |_| Break(())), Err(Error::Stopped { .. })));
    assert!(files(out.path()) == expected);
    assert_eq!(open(out.path()).train.len(), 10);
}

#[test]
fn only_whole_folders_are_taken_off_names() {
    let dataset = made_up(wild(3, &[]), wild(0, &[]));
    for path in ["pict", "picture 00", "elsewhere"] {
        let out = tempfile::tempdir().unwrap();
        let job = Job { dataset: &dataset, path: Path::new(path), settings: &small(), threads: 1, bad_images: BadImages::Stop };
        prepare(&job, out.path(), &mut |_| Continue(())).unwrap();
        assert!(open(out.path()).train.name(0).starts_with("picture 00"), "{path}");
    }
}

#[test]
fn a_source_that_vanishes_is_no_bad_image() {
    let source = tempfile::tempdir().unwrap();
    for class in ["cat", "dog"] {
        fs::create_dir_all(source.path().join(class)).unwrap();
        for i in 0..20 {
            let mut file = Vec::new();
            jpeg_encoder::Encoder::new(&mut file, 85).encode(&[i; 192], 8, 8, jpeg_encoder::ColorType::Rgb).unwrap();
            fs::write(source.path().join(class).join(format!("{i:02}.jpg")), file).unwrap();
        }
    }
    let out = tempfile::tempdir().unwrap();
    let dataset = data::open(source.path(), &OpenOptions::default()).unwrap();
    let job = Job { dataset: &dataset, path: source.path(), settings: &small(), threads: 2, bad_images: BadImages::Skip };
    let mut progress = |p| {
        if matches!(p, Progress::Packing { done: 7, .. }) {
            fs::rename(source.path().join("cat"), source.path().join("hidden")).unwrap();
            fs::rename(source.path().join("dog"), source.path().join("away")).unwrap();
        }
        Continue(())
    };
    let error = prepare(&job, out.path(), &mut progress).unwrap_err();
    assert!(matches!(error, Error::Vanished { .. }), "{error}");
    assert!(data::open(out.path(), &OpenOptions::default()).is_err());
    fs::rename(source.path().join("hidden"), source.path().join("cat")).unwrap();
    fs::rename(source.path().join("away"), source.path().join("dog")).unwrap();
    let prepared = prepare(&job, out.path(), &mut |_| Continue(())).unwrap();
    // The second shard was finished as well if its images had been fetched ahead.
    assert!([30, 35].contains(&prepared.made) && prepared.manifest.omitted.is_empty(), "{} made", prepared.made);
}

#[test]
fn statistics_are_those_that_measuring_would_find() {
    let dataset = made_up(wild(23, &[]), Pictures::squares(3, 8));
    let measure = |source: &dyn Source, p: &Preprocessing| {
        Statistics::compute(source, p, 2, BadImages::Stop, &mut |_, _| Continue(())).unwrap().0
    };
    let ours = Preprocessing { stored: 8, ..Preprocessing::default() };
    let with = |fit| Preprocessing { fit, ..ours.clone() };
    let fits = [with(Fit::Crop), with(Fit::Warp), with(Fit::ShorterSide), with(Fit::AsIs)];
    for (store, known) in [(Store::Crop, 4), (Store::Side, 2), (Store::Raw, 2)] {
        let out = tempfile::tempdir().unwrap();
        pack(&dataset, out.path(), &Settings { store, ..small() });
        let packed = open(out.path());
        let mut answers = 0;
        for p in &fits {
            if let Some(statistics) = packed.train.measured(p) {
                assert_eq!(statistics, measure(&*packed.train, p), "{store} {p:?}");
                answers += 1;
            }
        }
        assert_eq!(answers, known, "{store}");
        assert!(packed.val.measured(&ours).is_none());
        let bgr = Preprocessing { channels: Channels::Bgr, ..ours.clone() };
        assert_eq!(packed.train.measured(&bgr).unwrap(), measure(&*packed.train, &bgr));
        for other in [
            Preprocessing { stored: 9, ..ours.clone() },
            Preprocessing { channels: Channels::Grey, colour_noise: None, ..ours.clone() },
        ] {
            assert!(packed.train.measured(&other).is_none(), "{other:?}");
        }
        let filtered = Preprocessing { filter: Filter::Lanczos, ..ours.clone() };
        assert_eq!(packed.train.measured(&filtered).is_none(), store == Store::Raw);
        // What a cache in between must not hide.
        let cached = data::cached(packed.train.clone(), &ours, data::Cache::Small);
        assert!(cached.measured(&ours).is_some());
    }
}

#[test]
fn a_recipe_that_does_not_suit_the_pack_is_remarked_upon() {
    let dataset = made_up(wild(5, &[]), wild(0, &[]));
    let remarks = |store| {
        let out = tempfile::tempdir().unwrap();
        pack(&dataset, out.path(), &Settings { store, ..small() });
        let source = open(out.path()).train;
        move |stored, fit| source.remark(&Preprocessing { stored, fit, ..Preprocessing::default() })
    };
    let crop = remarks(Store::Crop);
    assert_eq!(crop(8, Fit::Crop), None);
    assert!(crop(16, Fit::Crop).unwrap().contains("squares of 8 × 8 pixels, and the recipe has stored = 16"));
    assert!(crop(8, Fit::ShorterSide).unwrap().contains("cannot roam"));
    let side = remarks(Store::Side);
    assert_eq!((side(8, Fit::Crop), side(8, Fit::ShorterSide)), (None, None));
    assert!(side(8, Fit::Warp).is_some());
    assert_eq!(remarks(Store::Raw)(9, Fit::Warp), None);
    for (store, part) in [(Store::Crop, Some("cannot reach beyond")), (Store::Side, Some("a second time")), (Store::Raw, None)] {
        let out = tempfile::tempdir().unwrap();
        pack(&dataset, out.path(), &Settings { store, ..small() });
        let random_resized_crop = Some(data::augment::RandomResizedCrop::default());
        let said = open(out.path()).train.remark(&Preprocessing { stored: 8, random_resized_crop, ..Preprocessing::default() });
        assert_eq!(said.is_some(), part.is_some(), "{store:?}");
        assert!(said.is_none_or(|said| said.contains(part.unwrap_or(""))), "{store:?}");
    }
}

/// Reads whatever opens; nothing may panic.
fn read_all(out: &Path) {
    if let Ok(dataset) = data::open(out, &OpenOptions::default()) {
        for source in [&dataset.train, &dataset.val] {
            for i in 0..source.len() {
                assert!((source.label(i) as usize) < dataset.classes.len());
                let _ = (source.name(i).len(), source.read(i));
            }
        }
    }
}

#[test]
fn no_changed_byte_goes_unseen() {
    let dataset = made_up(wild(7, &[4]), wild(2, &[]));
    let out = tempfile::tempdir().unwrap();
    let settings = Settings { side: 6, quality: 50, ..small() };
    pack_with(&dataset, out.path(), &settings, 2, BadImages::Skip).unwrap();
    let packed = open(out.path());
    let names: Vec<String> = [&packed.train, &packed.val]
        .iter()
        .flat_map(|s| (0..s.len()).map(|i| s.name(i).into_owned()).collect::<Vec<_>>())
        .collect();
    drop(packed);
    let (mut in_records, mut elsewhere) = (0, 0);
    for (file, whole) in files(out.path()) {
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(out.path().join(&file), &changed).unwrap();
            let found = checked(out.path());
            assert_eq!(found.damage.len(), 1, "byte {at} of {file}: {:?}", found.damage);
            let damage = &found.damage[0];
            assert_eq!(damage.file, file, "byte {at}");
            match (&damage.image, damage.offset) {
                (Some(image), Some(offset)) => {
                    assert!(names.contains(image) && offset <= at as u64, "byte {at} of {file}: {damage:?}");
                    assert_eq!(found.intact, 7);
                    in_records += 1;
                }
                (None, None) => elsewhere += 1,
                other => panic!("{other:?}"),
            }
            read_all(out.path());
        }
        fs::write(out.path().join(&file), &whole).unwrap();
    }
    assert!(in_records > 2000 && elsewhere > 2000, "{in_records} bytes of records, {elsewhere} others");
    assert_eq!(checked(out.path()).damage, []);
}

#[test]
fn a_torn_or_missing_file_is_an_error_and_never_a_panic() {
    let dataset = made_up(wild(7, &[]), wild(2, &[]));
    let out = tempfile::tempdir().unwrap();
    pack(&dataset, out.path(), &small());
    for (file, whole) in files(out.path()) {
        let path = out.path().join(&file);
        for length in (0..whole.len()).step_by(7) {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(data::open(out.path(), &OpenOptions::default()).is_err(), "{length} bytes of {file}");
            assert!(!checked(out.path()).damage.is_empty());
        }
        fs::remove_file(&path).unwrap();
        match file.as_str() {
            "pack.json" => assert!(matches!(verify(out.path(), 1, &mut |_, _| Continue(())), Err(Error::Pack { .. }))),
            _ => {
                assert!(data::open(out.path(), &OpenOptions::default()).is_err());
                assert!(checked(out.path()).damage.iter().all(|d| d.file == file));
            }
        }
        fs::write(&path, &whole).unwrap();
    }
    // A shard in another's place.
    fs::copy(out.path().join("train-00000.shard"), out.path().join("train-00001.shard")).unwrap();
    let error = data::open(out.path(), &OpenOptions::default()).unwrap_err();
    assert!(error.to_string().contains("train-00001.shard"), "{error}");
}

#[test]
fn a_manifest_never_leads_out_of_its_folder() {
    let dataset = made_up(wild(3, &[]), wild(0, &[]));
    let out = tempfile::tempdir().unwrap();
    pack(&dataset, out.path(), &small());
    let path = out.path().join("pack.json");
    let text = fs::read_to_string(&path).unwrap();
    let reseal = |text: String| {
        let at = text.find("\"digest\": \"").map(|_| text.rfind("\"digest\": \"").unwrap() + 11).unwrap();
        let bare = format!("{}{}", &text[..at], &text[at + 64..]);
        let digest = blake3::hash(bare.as_bytes()).to_hex();
        fs::write(&path, format!("{}{digest}{}", &bare[..at], &bare[at..])).unwrap();
        data::open(out.path(), &OpenOptions::default())
    };
    reseal(text.clone()).expect("the seal is set as the program sets it");
    for (from, to) in [
        ("train-00000.shard", "../../../etc/passwd"),
        ("\"name\": \"statistics.safetensors\"", "\"name\": \"/etc/passwd\""),
        ("\"images\": 3", "\"images\": 18446744073709551615"),
        ("\"version\": 1", "\"version\": 2"),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        let error = reseal(changed).unwrap_err();
        assert!(error.to_string().contains("pack.json"), "{error}");
    }
}

/// A million images of one pixel.
struct Million;

impl Source for Million {
    fn len(&self) -> usize {
        1_000_000
    }

    fn label(&self, index: usize) -> u32 {
        (index % 1000) as u32
    }

    fn name(&self, index: usize) -> Cow<'_, str> {
        format!("train/n{:08}/n{:08}_{index}.JPEG", index % 1000, index % 1000).into()
    }

    fn fetch<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> data::Result<Content<'a>> {
        Ok(Image { width: 1, height: 1, rgb: (index as u32).to_le_bytes()[..3].to_vec() }.keep_in(buffer))
    }
}

#[test]
fn a_million_records_are_opened_at_once() {
    let out = tempfile::tempdir().unwrap();
    let classes = (0..1000).map(|i| i.to_string()).collect();
    let (train, val): (Arc<dyn Source>, Arc<dyn Source>) = (Arc::new(Million), Arc::new(wild(0, &[])));
    let dataset = Dataset { name: "million".into(), classes, train, val, words: vec![], ..made_up(wild(0, &[]), wild(0, &[])) };
    pack(&dataset, out.path(), &Settings { store: Store::Raw, side: 1, ..Settings::default() });
    let began = std::time::Instant::now();
    let packed = open(out.path());
    let opened = began.elapsed();
    let batch: Vec<u32> = (0..128).map(|i| i * 7919 % 1_000_000).collect();
    packed.train.announce(&batch);
    let mut sum = 0;
    for &i in &batch {
        let image = packed.train.read(i as usize).unwrap();
        let number = u32::from_le_bytes([image.rgb[0], image.rgb[1], image.rgb[2], 0]);
        assert_eq!(packed.train.label(i as usize), number % 1000);
        sum += number as u64;
    }
    assert!(sum > 0);
    let took = began.elapsed();
    // Past the test runner, which keeps to itself what passing tests print.
    let text = format!("a million records: opened in {opened:.0?}, the first batch after {took:.0?}\n");
    let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
    // A fraction of a second on an idle machine; this only tells it from a walk over all records by allocation or decoding.
    assert!(took.as_secs() < 5, "{text}");
}

#[test]
fn checking_can_be_stopped() {
    let out = tempfile::tempdir().unwrap();
    pack(&made_up(wild(23, &[]), wild(6, &[])), out.path(), &small());
    let stop = |_, _| -> ControlFlow<()> { Break(()) };
    assert!(matches!(verify(out.path(), 1, &mut { stop }), Err(Error::Stopped { .. })));
}
