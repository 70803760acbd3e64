//! ImageNet in miniature: three classes, as downloaded, as unpacked, and everything between.

mod case;
mod tars;

use std::fs;
use std::io::Write;
use std::path::Path;

use data::{Content, Dataset, Error, LabelOrder, OpenOptions, Source, open};
use safetensors::SafeTensors;
use tars::tar;
use tempfile::TempDir;

/// By name, as their labels are; the devkit's ids are 3, 1, 2.
const WNIDS: [&str; 3] = ["n01440764", "n02084071", "n04347754"];
const WORDS: [&str; 3] = ["tench, Tinca tinca", "dog, domestic dog, Canis familiaris", "submarine, pigboat, sub, café"];

/// Ids of the validation images in the order of their names, and the labels that they are.
const TRUTH: &str = "2\n3\n1\n1\n2\n3\n";
const SORTED: [u32; 6] = [2, 0, 1, 1, 2, 0];
const DEVKIT: [u32; 6] = [1, 2, 0, 0, 1, 2];

fn golden(case: &str, name: &str) -> Vec<u8> {
    let bytes = case::bytes(case);
    let case = SafeTensors::deserialize(&bytes).expect("a golden");
    case.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}")).data().to_vec()
}

fn meta(year: u16) -> Vec<u8> {
    golden("mat5", &format!("file/synsets-{year}.mat"))
}

/// A photograph of its own for each number.
fn photo(number: u8) -> Vec<u8> {
    let mut file = Vec::new();
    let rgb: Vec<u8> = (0..20 * 16 * 3).map(|i| (i * 7 % 251) as u8 ^ number).collect();
    jpeg_encoder::Encoder::new(&mut file, 90).encode(&rgb, 20, 16, jpeg_encoder::ColorType::Rgb).expect("memory takes a JPEG");
    file
}

/// A name and its bytes.
type File = (String, Vec<u8>);

/// Training images as the archives have them: neither classes nor images sorted.
fn train(year: u16) -> Vec<(&'static str, Vec<File>)> {
    let cut = { photo(7)[..photo(7).len() / 2].to_vec() };
    let name = |wnid: &str, number: u32| format!("{wnid}_{number}.JPEG");
    let images =
        |wnid, images: Vec<(u32, Vec<u8>)>| (wnid, images.into_iter().map(|(n, bytes)| (name(wnid, n), bytes)).collect());
    vec![
        images(WNIDS[2], vec![(8, photo(year as u8)), (7, cut)]),
        images(WNIDS[0], vec![(9, golden("data-decode", "file/rgb.png")), (10026, photo(1))]),
        images(WNIDS[1], vec![(2, golden("data-decode", "file/grey.jpg")), (1, golden("data-decode", "file/cmyk-adobe.jpg"))]),
    ]
}

/// Training images, class by class and sorted by name.
const TRAIN: [(&str, u32); 6] = [
    ("n01440764_10026.JPEG", 0),
    ("n01440764_9.JPEG", 0),
    ("n02084071_1.JPEG", 1),
    ("n02084071_2.JPEG", 1),
    ("n04347754_7.JPEG", 2),
    ("n04347754_8.JPEG", 2),
];

/// Validation images in the order of an archive, which is not that of their names.
fn val(year: u16) -> Vec<File> {
    [4u8, 1, 6, 2, 3, 5].map(|n| (format!("ILSVRC{year}_val_{n:08}.JPEG"), photo(100 + n))).to_vec()
}

fn devkit(year: u16) -> Vec<File> {
    let folder = if year == 2012 { "ILSVRC2012_devkit_t12" } else { "devkit-1.0" };
    vec![
        (format!("{folder}/readme.txt"), b"read me".to_vec()),
        (format!("{folder}/data/ILSVRC{year}_validation_ground_truth.txt"), TRUTH.into()),
        (format!("{folder}/data/ILSVRC{year}_test_ground_truth.txt"), b"1\n2\n3\n".to_vec()),
        (format!("{folder}/data/meta.mat"), meta(year)),
    ]
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes it")
}

struct Place(TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().expect("a folder"))
    }

    /// All that was downloaded.
    fn downloaded() -> Place {
        Place::new().train_tar(2012).val_tar(2012).with("ILSVRC2012_devkit_t12.tar.gz", gz(&tar(devkit(2012))))
    }

    fn with(self, name: &str, content: impl AsRef<[u8]>) -> Place {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("within")).expect("made");
        fs::write(path, content).expect("written");
        self
    }

    fn train_tar(self, year: u16) -> Place {
        let inner = train(year).into_iter().map(|(wnid, images)| (format!("{wnid}.tar"), tar(images)));
        self.with(&format!("ILSVRC{year}_img_train.tar"), tar(inner))
    }

    fn val_tar(self, year: u16) -> Place {
        self.with(&format!("ILSVRC{year}_img_val.tar"), tar(val(year)))
    }

    fn train_folder(self, root: &str) -> Place {
        let images = train(2012).into_iter().flat_map(|(wnid, images)| images.into_iter().map(move |image| (wnid, image)));
        images.fold(self, |place, (wnid, (name, bytes))| place.with(&format!("{root}/{wnid}/{name}"), bytes))
    }

    fn val_folder(self, root: &str) -> Place {
        val(2012).into_iter().fold(self, |place, (name, bytes)| place.with(&format!("{root}/{name}"), bytes))
    }

    fn devkit_folder(self, year: u16) -> Place {
        devkit(year).into_iter().fold(self, |place, (name, bytes)| place.with(&name, bytes))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn open(&self) -> Dataset {
        open(self.path(), &OpenOptions::default()).expect("a data set")
    }

    fn open_in(&self, label_order: LabelOrder) -> Result<Dataset, Error> {
        open(self.path(), &OpenOptions { label_order, ..OpenOptions::default() })
    }

    fn refused(&self) -> String {
        open(self.path(), &OpenOptions::default()).expect_err("no data set").to_string()
    }

    /// Names below the folder.
    fn names(&self, source: &dyn Source) -> Vec<String> {
        let prefix = format!("{}/", self.path().display());
        (0..source.len()).map(|i| source.name(i).strip_prefix(&prefix).expect("below").to_string()).collect()
    }
}

fn labels(source: &dyn Source) -> Vec<u32> {
    (0..source.len()).map(|i| source.label(i)).collect()
}

fn bytes(source: &dyn Source) -> Vec<Vec<u8>> {
    let mut buffer = Vec::new();
    let mut one = |i| match source.fetch(i, &mut buffer).expect("there") {
        Content::Encoded { bytes, exif: true } => bytes.to_vec(),
        other => panic!("{other:?}"),
    };
    (0..source.len()).map(&mut one).collect()
}

/// The bytes of the training image with this name.
fn original(year: u16, name: &str) -> Vec<u8> {
    let mut images = train(year).into_iter().flat_map(|(_, images)| images);
    images.find(|(found, _)| found == name).expect("there").1
}

/// That labels, order and bytes are those of the whole data set; where files lie does not matter.
#[track_caller]
fn assert_whole(dataset: &Dataset) {
    assert_eq!(dataset.classes, WNIDS);
    assert_eq!(labels(&*dataset.train), TRAIN.map(|(_, label)| label));
    assert_eq!(bytes(&*dataset.train), TRAIN.map(|(name, _)| original(2012, name)));
    assert_eq!(labels(&*dataset.val), SORTED);
    assert_eq!(bytes(&*dataset.val), [1, 2, 3, 4, 5, 6].map(|n| photo(100 + n)));
}

#[test]
fn as_downloaded() {
    let place = Place::downloaded();
    let dataset = place.open();
    assert_whole(&dataset);
    assert_eq!(dataset.words, WORDS);
    assert_eq!(dataset.notes, Vec::<String>::new());
    let names = TRAIN.map(|(name, _)| format!("ILSVRC2012_img_train.tar/{}.tar/{name}", &name[..9]));
    assert_eq!(place.names(&*dataset.train), names);
    let names = [1, 2, 3, 4, 5, 6].map(|n| format!("ILSVRC2012_img_val.tar/ILSVRC2012_val_{n:08}.JPEG"));
    assert_eq!(place.names(&*dataset.val), names);
    assert_eq!(fs::read_dir(place.path()).expect("there").count(), 3, "nothing is left behind");
}

#[test]
fn dirty_images_are_read_and_broken_ones_are_bad() {
    let dataset = Place::downloaded().open();
    for (index, name) in [(1, "rgb.png"), (3, "grey.jpg"), (2, "cmyk-adobe.jpg")] {
        let golden = case::bytes("data-decode");
        let expected =
            case::picture(&SafeTensors::deserialize(&golden).expect("a golden"), &format!("rgb/{name}")).expect("kept");
        let found = dataset.train.read(index).expect("an image");
        let (worst, place) = case::worst(&found, &expected);
        assert!(worst <= 4, "{name}: {place}");
    }
    let bad = dataset.train.read(4).expect_err("half a file").bad_image().expect("about an image");
    assert!(bad.name.ends_with("ILSVRC2012_img_train.tar/n04347754.tar/n04347754_7.JPEG"), "{}", bad.name);
    assert!(dataset.train.read(5).is_ok(), "the image after it is whole");
}

#[test]
fn a_devkit_alone_names_the_classes_in_either_order() {
    let place = Place::downloaded();
    let kit = place.path().join("ILSVRC2012_devkit_t12.tar.gz");
    let wnids = |path: &std::path::Path, order| {
        let classes = data::devkit_classes(path, order).expect("a devkit").expect("there is one");
        assert!(classes.iter().all(|(_, words)| !words.is_empty()));
        classes.into_iter().map(|(wnid, _)| wnid).collect::<Vec<_>>()
    };
    let (sorted, by_id) = (wnids(&kit, LabelOrder::Sorted), wnids(&kit, LabelOrder::Devkit));
    assert_eq!(sorted, place.open().classes);
    assert_eq!(by_id, place.open_in(LabelOrder::Devkit).expect("there is a devkit").classes);
    assert_ne!(sorted, by_id);
    let folder = Place::new().devkit_folder(2010);
    assert_eq!(wnids(folder.path(), LabelOrder::Devkit), by_id);
    assert_eq!(wnids(&folder.path().join("devkit-1.0"), LabelOrder::Devkit), by_id);
    assert_eq!(wnids(place.path(), LabelOrder::Sorted), sorted);
    let none = Place::new().with("list.txt", b"n01440764 tench\n");
    for path in [none.path().to_path_buf(), none.path().join("list.txt")] {
        assert_eq!(data::devkit_classes(&path, LabelOrder::Sorted).expect("nothing is damaged"), None);
    }
    let cut = Place::new().with("kit.tar.gz", &std::fs::read(&kit).expect("the kit")[..40]);
    assert!(data::devkit_classes(&cut.path().join("kit.tar.gz"), LabelOrder::Sorted).is_err());
}

#[test]
fn labels_in_the_order_of_the_devkit_change_nothing_else() {
    for place in [Place::downloaded(), Place::new().train_folder("train").val_folder("val").devkit_folder(2012)] {
        let (sorted, dataset) = (place.open(), place.open_in(LabelOrder::Devkit).expect("there is a devkit"));
        assert_eq!(dataset.classes, [WNIDS[1], WNIDS[2], WNIDS[0]]);
        assert_eq!(dataset.words, [WORDS[1], WORDS[2], WORDS[0]]);
        assert_eq!(labels(&*dataset.train), [2, 2, 0, 0, 1, 1]);
        assert_eq!(labels(&*dataset.val), DEVKIT);
        for (a, b) in [(&sorted.train, &dataset.train), (&sorted.val, &dataset.val)] {
            assert_eq!(place.names(&**a), place.names(&**b));
        }
    }
    let folders = Place::new().train_folder("train");
    let error = folders.open_in(LabelOrder::Devkit).expect_err("no devkit");
    assert!(matches!(error, Error::Lacking { .. }), "{error}");
    assert!(error.to_string().contains("labels in the order of the devkit need ILSVRC2012_devkit_t12.tar.gz"), "{error}");
}

#[test]
fn whatever_is_unpacked_is_the_same_data_set() {
    let kit = || gz(&tar(devkit(2012)));
    assert_whole(&Place::new().train_folder("train").val_folder("val").devkit_folder(2012).open());
    assert_whole(&Place::new().train_folder("train").val_tar(2012).with("ILSVRC2012_devkit_t12.tar.gz", kit()).open());
    assert_whole(&Place::new().train_tar(2012).val_folder("val").devkit_folder(2012).open());
    let by_class = train(2012).into_iter();
    let by_class = by_class.fold(Place::new(), |place, (wnid, images)| place.with(&format!("train/{wnid}.tar"), tar(images)));
    assert_whole(&by_class.val_tar(2012).devkit_folder(2012).open());
    // Packed again with a folder for each class.
    let again =
        train(2012).into_iter().flat_map(|(wnid, all)| all.into_iter().map(move |(n, b)| (format!("train/{wnid}/{n}"), b)));
    assert_whole(&Place::new().with("ILSVRC2012_img_train.tar", tar(again)).val_folder("val").devkit_folder(2012).open());
    // Packed again on a Mac, with its notes about each archive.
    let inner = train(2012).into_iter().map(|(wnid, images)| (format!("{wnid}.tar"), tar(images)));
    let notes = WNIDS.map(|wnid| (format!("._{wnid}.tar"), b"Mac OS X".repeat(20)));
    let noted = Place::new().with("ILSVRC2012_img_train.tar", tar(notes.into_iter().chain(inner)));
    assert_whole(&noted.val_folder("val").devkit_folder(2012).open());
    let both = Place::downloaded().with("train/n01440764/n01440764_1.JPEG", photo(0));
    let dataset = both.open();
    assert_whole(&dataset);
    assert!(dataset.notes[0].ends_with("ILSVRC2012_img_train.tar is read, not the folder `train`"), "{:?}", dataset.notes);
    // Sorted into class folders by a script that many use; the devkit still has the words.
    let sorted = val(2012)
        .into_iter()
        .zip([1usize, 2, 0, 0, 1, 2])
        .fold(Place::new(), |place, ((name, bytes), class)| place.with(&format!("val/{}/{name}", WNIDS[class]), bytes));
    let dataset = sorted.train_folder("train").devkit_folder(2012).open();
    assert_eq!((labels(&*dataset.val), dataset.words), (vec![0, 0, 1, 1, 2, 2], WORDS.map(String::from).to_vec()));
}

#[test]
fn kaggles_copy() {
    let mut csv = "ImageId,PredictionString\n".to_string();
    for n in [3, 1, 6, 2, 5, 4] {
        let wnid = WNIDS[SORTED[n - 1] as usize];
        csv += &format!("ILSVRC2012_val_{n:08},{wnid} 1 2 3 4 {wnid} 5 6 7 8 \n");
    }
    let mapping: String = WNIDS.iter().zip(WORDS).map(|(wnid, words)| format!("{wnid} {words}\n")).collect();
    let root = "ILSVRC/Data/CLS-LOC";
    let place = Place::new().train_folder(&format!("{root}/train")).val_folder(&format!("{root}/val"));
    let place = place.with(&format!("{root}/test/ILSVRC2012_test_00000001.JPEG"), photo(3));
    assert!(place.refused().contains("are in ILSVRC2012_devkit_t12.tar.gz"), "{}", place.refused());
    assert!(place.refused().contains("or LOC_val_solution.csv of Kaggle's copy, in this folder"), "{}", place.refused());
    let place = place.with("LOC_val_solution.csv", &csv).with("LOC_synset_mapping.txt", mapping);
    assert_whole(&place.open());
    assert_eq!(place.open().words, WORDS);
    let place = place.with("LOC_val_solution.csv", csv.replace("val_00000004", "val_00000044"));
    assert!(place.refused().ends_with("LOC_val_solution.csv: no line is about the image ILSVRC2012_val_00000004.JPEG"));
    let place = place.with("LOC_val_solution.csv", "ImageId,PredictionString\nnonsense\n");
    assert!(place.refused().ends_with("line 2: expected `IMAGE,CLASS …`, found `nonsense`"));
}

#[test]
fn a_part_of_it_will_do() {
    // Divided as class folders are, image by image.
    let options = OpenOptions { val_fraction: 0.5, seed: 3, ..OpenOptions::default() };
    let (archive, folders) = (Place::new().train_tar(2012), Place::new().train_folder("train"));
    let [a, b] = [&archive, &folders].map(|place| open(place.path(), &options).expect("a data set"));
    assert_eq!((labels(&*a.train), labels(&*a.val)), (vec![0, 1, 2], vec![0, 1, 2]));
    for (a, b) in [(&a.train, &b.train), (&a.val, &b.val)] {
        assert_eq!(bytes(&**a), bytes(&**b));
    }
    assert_eq!(a.notes, b.notes);
    assert!(a.words.is_empty());

    let val_only = Place::new().val_tar(2012).devkit_folder(2012);
    let dataset = val_only.open();
    assert_eq!((dataset.train.len(), labels(&*dataset.val), dataset.words.len()), (0, SORTED.to_vec(), 3));
    assert_eq!((dataset.classes, dataset.notes), (WNIDS.map(String::from).to_vec(), vec!["there are no training images".into()]));

    let two = train(2012).into_iter().take(2).map(|(wnid, images)| (format!("{wnid}.tar"), tar(images)));
    let two = Place::new().with("ILSVRC2012_img_train.tar", tar(two)).devkit_folder(2012);
    assert_eq!((two.open().classes, two.open().words.len()), (vec![WNIDS[0].to_string(), WNIDS[2].into()], 2));
    assert!(two.open().notes.contains(&"2 of the devkit's 3 classes are there".to_string()));
    let error = two.val_tar(2012).refused();
    assert!(error.ends_with("has 1 class that the training folder lacks: `n02084071`"), "{error}");
}

#[test]
fn ilsvrc_2010() {
    let place = Place::new().train_tar(2010).val_tar(2010).devkit_folder(2010);
    let dataset = place.open();
    assert_eq!((labels(&*dataset.val), dataset.words), (SORTED.to_vec(), WORDS.map(String::from).to_vec()));
    assert_eq!(labels(&*place.open_in(LabelOrder::Devkit).expect("a devkit").val), DEVKIT);
    // Validation images in an archive within the archive.
    let nested = Place::new().train_tar(2010).with("ILSVRC2010_img_val.tar", tar([("val.tar", tar(val(2010)))]));
    let dataset = nested.with("ILSVRC2010_devkit-1.0.tar.gz", gz(&tar(devkit(2010)))).open();
    assert_eq!(labels(&*dataset.val), SORTED);
    assert!(dataset.val.name(0).ends_with("ILSVRC2010_img_val.tar/val.tar/ILSVRC2010_val_00000001.JPEG"));
    // The paper's own numbers are of the test images.
    let test = [2u8, 3, 1].map(|n| (format!("ILSVRC2010_test_{n:08}.JPEG"), photo(n)));
    let place = Place::new().train_tar(2010).with("ILSVRC2010_img_test.tar", tar(test)).devkit_folder(2010);
    let dataset = place.open();
    assert_eq!((labels(&*dataset.val), bytes(&*dataset.val)), (vec![1, 2, 0], [1, 2, 3].map(photo).to_vec()));
    assert_eq!(dataset.notes, ["there is no `val`: validating on `test`"]);
    // As image-net.org calls them, and with the test images' classes as they were published: on their own.
    let test = [2u8, 3, 1].map(|n| (format!("test/ILSVRC2010_test_{n:08}.JPEG"), photo(n)));
    let inner = train(2010).into_iter().map(|(wnid, images)| (format!("train/{wnid}.tar"), tar(images)));
    let mut kit = devkit(2010);
    kit.retain(|(name, _)| !name.contains("test_ground_truth"));
    let published = Place::new().with("ILSVRC2010_images_train.tar", tar(inner)).with("ILSVRC2010_images_test.tar", tar(test));
    let published = published.with("ILSVRC2010_devkit-1.0.tar.gz", gz(&tar(kit)));
    let error = published.refused();
    assert!(error.ends_with("test_ground_truth.txt, nor is ILSVRC2010_test_ground_truth.txt beside it"), "{error}");
    let published = published.with("ILSVRC2010_test_ground_truth.txt", "1\n2\n3\n");
    assert_eq!((published.open().classes, labels(&*published.open().val)), (WNIDS.map(String::from).to_vec(), vec![1, 2, 0]));
    let published = published.with("ILSVRC2010_images_val.tar", tar(val(2010)));
    assert_eq!(labels(&*published.open().val), SORTED);
    assert!(place.train_tar(2012).refused().contains("it holds archives of 2012 and of 2010, which belong into a folder each"));
}

#[test]
fn what_is_missing_or_damaged_is_named() {
    let place = Place::new().train_tar(2012).val_tar(2012);
    let error = place.refused();
    assert!(
        error.contains("the labels of the images in ")
            && error.contains("ILSVRC2012_img_val.tar are in ILSVRC2012_devkit_t12.tar.gz")
    );
    let place = Place::new().train_folder("train").val_folder("val");
    assert!(place.refused().contains("/val are in ILSVRC2012_devkit_t12.tar.gz of image-net.org"), "{}", place.refused());

    let kit = |name: &str, content: &str| {
        let place = Place::downloaded().devkit_folder(2012);
        place.with(&format!("ILSVRC2012_devkit_t12/data/{name}"), content).refused()
    };
    let truth = "ILSVRC2012_validation_ground_truth.txt";
    assert!(kit(truth, "1\n2\n").ends_with("has 2 lines for 6 images"));
    assert!(kit(truth, "1\n2\n3\n4\n5\n6\n").contains("line 4: expected the id of a class, found `4`"));
    assert!(kit("meta.mat", "no MAT file").contains("data/meta.mat: expected a MAT file's header of 128 bytes, found 11 bytes"));
    let hollow = Place::new().train_tar(2012).with("ILSVRC2012_devkit_t12/readme.txt", "");
    assert!(hollow.refused().ends_with("ILSVRC2012_devkit_t12: it has no data/meta.mat"));
    let whole = gz(&tar(devkit(2012)));
    let cut = Place::downloaded().with("ILSVRC2012_devkit_t12.tar.gz", &whole[..whole.len() / 2]);
    assert!(cut.refused().contains("ILSVRC2012_devkit_t12.tar.gz: it does not unpack: "), "{}", cut.refused());
    let bomb = Place::downloaded().with("ILSVRC2012_devkit_t12.tar.gz", gz(&vec![0; (64 << 20) + 1]));
    assert!(bomb.refused().ends_with("it unpacks to more than 67108864 bytes"));

    for (cut, offset) in [(700, 512), (5000, 0)] {
        let place = Place::downloaded();
        let path = place.path().join("ILSVRC2012_img_train.tar");
        let tar = fs::read(&path).expect("there");
        fs::write(&path, &tar[..cut]).expect("written");
        match open(place.path(), &OpenOptions::default()) {
            Err(Error::Archive { path: named, offset: at, message }) => {
                assert_eq!(named, path);
                assert!(at <= offset && message.ends_with("it is cut off"), "{at}: {message}");
            }
            other => panic!("{other:?}"),
        }
    }
    let hollow = Place::new().with("ILSVRC2012_img_train.tar", tar([("n01440764.tar", tar([("readme.txt", "")]))]));
    assert!(hollow.refused().starts_with("class `n01440764` has no images: "));
    let nothing = Place::new().devkit_folder(2012);
    assert!(nothing.refused().starts_with("class `ILSVRC2012_devkit_t12` has no images: "));
}

#[test]
fn where_members_of_large_archives_lie_is_kept() {
    const IMAGES: usize = 10_000;
    let image = photo(1);
    let images = (0..IMAGES).map(|i| (format!("n01440764_{i}.JPEG"), &image));
    let place = Place::new().with("ILSVRC2012_img_train.tar", tar([("n01440764.tar", tar(images))]));
    let archive = place.path().join("ILSVRC2012_img_train.tar");
    let options = OpenOptions { val_fraction: 0.0, ..OpenOptions::default() };
    let first = open(place.path(), &options).expect("a data set");
    let kept = place.path().join(".alexnet-tars");
    assert!(kept.is_file() && first.notes[0].contains("10001 members lie is kept for the next time in "), "{:?}", first.notes);
    let listed = |dataset: &Dataset| (place.names(&*dataset.train), labels(&*dataset.train));
    let second = open(place.path(), &options).expect("a data set");
    assert_eq!((listed(&first), second.notes.len()), (listed(&second), 1));
    assert_eq!(bytes(&*second.train)[IMAGES - 1], image);

    // A header that has since been damaged is not read again while size and time stay.
    let modified = fs::metadata(&archive).and_then(|m| m.modified()).expect("a time");
    let damage = || {
        let mut tar = fs::read(&archive).expect("there");
        tar[512 + 3] ^= 1;
        fs::write(&archive, tar).expect("written");
    };
    damage();
    let set_time = |time| fs::File::options().write(true).open(&archive).and_then(|file| file.set_modified(time)).expect("set");
    set_time(modified);
    assert_eq!(listed(&open(place.path(), &options).expect("as before")), listed(&first));
    set_time(modified + std::time::Duration::from_secs(1));
    assert!(matches!(open(place.path(), &options), Err(Error::Archive { .. })));

    // What is kept is a convenience: damaged, it counts for nothing.
    damage();
    fs::write(&kept, &fs::read(&kept).expect("there")[1..]).expect("written");
    assert_eq!(listed(&open(place.path(), &options).expect("indexed anew")), listed(&first));
}
