//! A data set with one of everything, and what a check says of it.

use std::fs;
use std::ops::ControlFlow::{Break, Continue};
use std::path::Path;

use data::check::{ClassFinding, Detail, Kind, Report, run};
use data::{Colour, Dataset, Error, Format, OpenOptions, Quarantine, Source, open, probe, quarantine_line};
use net::random::{Purpose, Stream};
use safetensors::SafeTensors;
use tempfile::TempDir;

/// A bitmap of 24 bits with the colours of `pixel(x, y)`.
fn bmp(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let row = (3 * width).next_multiple_of(4) as usize;
    let mut file = b"BM".to_vec();
    for word in [54 + row as u32 * height, 0, 54, 40, width, height, 24 << 16 | 1, 0, row as u32 * height, 0, 0, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    for y in 0..height {
        let start = file.len();
        file.extend((0..width).flat_map(|x| pixel(x, y)));
        file.resize(start + row, 0);
    }
    file
}

/// A picture that is like no other seed's, and has nothing remarkable.
fn plain(seed: u32) -> Vec<u8> {
    bmp(40, 36, |x, y| [(x * 6 + seed) as u8, (y * 7) as u8, (x * y + 31 * seed) as u8])
}

struct Place {
    root: TempDir,
}

impl Place {
    /// Three classes of three unremarkable images, and one validation image each.
    fn new() -> Place {
        let place = Place { root: tempfile::tempdir().expect("a folder") };
        for (number, class) in ["ant", "bee", "cow"].into_iter().enumerate() {
            (0..3).for_each(|i| place.write(&format!("train/{class}/{i}.bmp"), plain(10 * number as u32 + i)));
            place.write(&format!("val/{class}/v.bmp"), plain(100 + number as u32));
        }
        place
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.root.path().join(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("made");
        fs::write(path, content).expect("written");
    }

    fn open(&self) -> Dataset {
        open(self.root.path(), &OpenOptions::default()).expect("a data set")
    }

    fn root(&self) -> Option<&Path> {
        Some(self.root.path())
    }

    /// What a check of `dataset` on `threads` threads says.
    fn report(&self, dataset: &Dataset, threads: usize) -> Report {
        run(dataset, threads, &mut |_, _| Continue(())).expect("a report")
    }

    /// Kind, name and text of every finding.
    fn said(&self, dataset: &Dataset, report: &Report) -> Vec<String> {
        let line =
            |f: &data::check::Finding| format!("{} {}: {}", f.kind, f.name(dataset, self.root()), f.text(dataset, self.root()));
        report.findings.iter().map(line).collect()
    }
}

fn golden_files() -> Vec<(String, Vec<u8>, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/data-check/case.safetensors");
    let bytes = fs::read(path).expect("a golden");
    let golden = SafeTensors::deserialize(&bytes).expect("a golden");
    let names: Vec<String> = golden.names().iter().filter_map(|name| name.strip_prefix("file/").map(String::from)).collect();
    let data = |name: String| golden.tensor(&name).expect("kept").data().to_vec();
    let text = |name: &str| String::from_utf8(data(format!("says/{name}"))).expect("text");
    names.into_iter().map(|name| (name.clone(), data(format!("file/{name}")), text(&name))).collect()
}

#[test]
fn headers_say_what_pillow_says() {
    let files = golden_files();
    assert!(files.len() >= 28, "only {} files", files.len());
    for (name, bytes, says) in files {
        let [format, mode, orientation, _] = says.split(' ').collect::<Vec<_>>()[..] else { panic!("{name}: {says}") };
        let header = probe(&bytes).expect("a known format");
        let colour = match mode {
            "L" | "LA" => Colour::Grey,
            "P" => Colour::Palette,
            "CMYK" => Colour::Cmyk,
            "YCCK" => Colour::Ycck,
            _ => Colour::Rgb,
        };
        assert_eq!(header.format.name().to_uppercase(), format, "{name}");
        assert_eq!((header.colour, header.orientation.to_string()), (Some(colour), orientation.to_string()), "{name}");
    }
}

#[test]
fn damaged_headers_never_panic() {
    let (mut known, mut unknown) = (0, 0);
    for (number, (_, file, _)) in golden_files().into_iter().enumerate() {
        for round in 0..400 {
            let stream = Stream::new(6, Purpose::Test, 0, number as u32, round);
            let mut damaged = file.clone();
            for k in 0..1 + stream.below(0, 6) {
                // Mostly in the headers.
                let span = if stream.below(3 * k + 1, 4) == 0 { damaged.len() } else { damaged.len().min(200) };
                damaged[stream.below(3 * k + 2, span as u32) as usize] = stream.below(3 * k + 3, 256) as u8;
            }
            damaged.truncate(1 + stream.below(50, 2 * file.len() as u32) as usize);
            match probe(&damaged) {
                Some(header) => known += usize::from((1..=8).contains(&header.orientation)),
                None => unknown += 1,
            }
        }
    }
    assert!(known > 1000 && unknown > 100, "{known} known, {unknown} unknown: damage of one kind only");
}

#[test]
fn files_of_every_kind_are_found_for_what_pillow_says_they_are() {
    let place = Place::new();
    let files = golden_files();
    for (name, bytes, _) in &files {
        place.write(&format!("train/ant/{name}"), bytes);
    }
    let dataset = place.open();
    let report = place.report(&dataset, 2);
    let found = |kind| -> Vec<String> {
        let short =
            |f: &data::check::Finding| f.name(&dataset, place.root()).strip_prefix("train/ant/").expect("there").to_string();
        report.of_kind(kind).iter().map(short).collect()
    };
    let mut expected: Vec<(Kind, Vec<String>)> = vec![];
    let mut expect = |kind, wanted: &dyn Fn(&str, &str) -> bool| {
        let mut names: Vec<String> = files.iter().filter(|(name, _, says)| wanted(name, says)).map(|f| f.0.clone()).collect();
        names.sort();
        assert!(!names.is_empty(), "no file for {kind}");
        expected.push((kind, names));
    };
    expect(Kind::Truncated, &|_, says| says.ends_with("broken"));
    expect(Kind::Cmyk, &|_, says| says.contains("CMYK") || says.contains("YCCK"));
    expect(Kind::Grey, &|name, says| says.contains(" L") || name == "grey-as-rgb.png");
    expect(Kind::Rotated, &|_, says| !says.contains(" 1 "));
    expect(Kind::Misnamed, &|name, _| ["n02105855_2933.JPEG", "png.jpg", "webp.png", "jpeg.bmp"].contains(&name));
    for (kind, names) in &expected {
        assert_eq!(&found(*kind), names, "{kind}");
    }
    assert_eq!(report.findings.len(), expected.iter().map(|(_, names)| names.len()).sum::<usize>(), "nothing else is found");
    assert_eq!(report.known(Kind::Misnamed, &dataset), Some((1, 1)));
    assert_eq!(report.known(Kind::Cmyk, &dataset), Some((2, 22)));
    assert_eq!(report.known(Kind::Grey, &dataset), None);
    let known = report.findings.iter().filter(|finding| finding.is_known(&dataset)).count();
    assert_eq!((known, report.faulty_images()), (3, 4));
}

/// A set with an image, or a pair, of every kind; returns what is to be said about them.
fn one_of_everything(place: &Place) -> Vec<&'static str> {
    place.write("train/ant/twin.bmp", plain(70));
    place.write("train/bee/twin.bmp", plain(70));
    place.write("val/bee/twin.bmp", plain(70));
    place.write("train/bee/text.jpg", "no picture");
    place.write("train/cow/cut.bmp", &plain(71)[..3000]);
    place.write("train/ant/shown.bmp", plain(102 - 2));
    place.write("train/cow/again.bmp", plain(21));
    place.write("val/cow/again.bmp", plain(102));
    place.write("train/ant/blank.bmp", bmp(40, 40, |x, y| [(200 + (x + y) % 2) as u8, 150, 90]));
    place.write("train/ant/dot.bmp", bmp(40, 40, |x, y| if x == 3 && y < 8 { [255; 3] } else { [20, 10, 0] }));
    place.write("train/ant/grey.bmp", bmp(40, 40, |x, y| [(5 * x + y) as u8; 3]));
    place.write("train/bee/small.bmp", bmp(31, 40, |x, y| [(8 * x) as u8, (6 * y) as u8, 7]));
    place.write("train/bee/long.bmp", bmp(441, 44, |x, y| [x as u8, (5 * y) as u8, 7]));
    place.write("train/bee/edge.bmp", bmp(440, 44, |x, y| [x as u8, (5 * y) as u8, 9]));
    place.write("train/cow/huge.bmp", bmp(5001, 5000, |x, y| [x as u8, y as u8, 7]));
    vec![
        "duplicate-other-label train/ant/twin.bmp: same pixels as train/bee/twin.bmp, which is `bee`; this is `ant`",
        "duplicate-other-label train/bee/twin.bmp: same pixels as train/ant/twin.bmp, which is `ant`; this is `bee`",
        "duplicate-other-label val/bee/twin.bmp: same pixels as train/ant/twin.bmp, which is `ant`; this is `bee`",
        "undecodable train/bee/text.jpg: not an image: expected JPEG, PNG, WebP or BMP, found text",
        "truncated train/cow/cut.bmp: BMP: the pixels break off",
        "duplicate-across-splits train/ant/shown.bmp: same pixels as val/ant/v.bmp",
        "duplicate train/cow/again.bmp: same pixels as train/cow/1.bmp",
        "duplicate val/cow/v.bmp: same pixels as val/cow/again.bmp",
        "near-empty train/ant/blank.bmp: luma deviates by 0.00 levels",
        "near-empty train/ant/dot.bmp: #000a14 has 99.50 % of the pixels",
        "grey train/ant/grey.bmp: three components, all equal",
        "tiny train/bee/small.bmp: 31 × 40 pixels",
        "huge train/cow/huge.bmp: 5001 × 5000 pixels",
        "extreme-aspect train/bee/long.bmp: 441 × 44 pixels",
    ]
}

#[test]
fn one_of_everything_is_found_kind_by_kind_and_the_same_for_any_threads() {
    let place = Place::new();
    let mut expected: Vec<String> = one_of_everything(&place).into_iter().map(String::from).collect();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere.bmp", place.root.path().join("train/ant/dangling.bmp")).expect("a link");
        let at = expected.iter().position(|line| line.starts_with("undecodable")).expect("one");
        expected.insert(at, "unreadable train/ant/dangling.bmp: No such file or directory (os error 2)".into());
    }
    let dataset = place.open();
    let report = place.report(&dataset, 1);
    assert_eq!(place.said(&dataset, &report), expected);
    assert_eq!(report, place.report(&dataset, 3));
    assert_eq!((report.train, report.val), (dataset.train.len() as u64, 5));
    assert_eq!(
        report.decoded,
        report.train + report.val - report.findings.iter().filter(|f| matches!(f.detail, Detail::Reason(_))).count() as u64
    );
    assert_eq!(report.sides(), Some([31, 36, 5000]));
    let known: u64 = report.formats.values().sum();
    assert_eq!((known, report.formats["BMP"]), (report.train + report.val, report.decoded + 1));
    assert_eq!(report.faulty_images(), report.findings.iter().filter(|f| f.kind.is_fault()).count() as u64);
    assert_eq!(report.classes, []);
}

#[test]
fn classes_without_images_with_one_and_with_too_many() {
    let place = Place { root: tempfile::tempdir().expect("a folder") };
    for i in 0..102 {
        place.write(&format!("train/many/{i:03}.bmp"), plain(i));
    }
    place.write("train/one/a.bmp", plain(150));
    place.write("train/one/b.bmp", "broken");
    place.write("train/none/a.bmp", "broken");
    place.write("val/none/v.bmp", plain(151));
    let dataset = place.open();
    let report = place.report(&dataset, 2);
    let [many, none, one] = [0, 1, 2];
    let expected = [
        ClassFinding::Empty { class: none, faulty: 1 },
        ClassFinding::OneImage { class: one },
        ClassFinding::Imbalance { largest: many, most: 102, smallest: one, least: 1 },
    ];
    assert_eq!(report.classes, expected);
    assert_eq!(report.faulty_classes(), 1);
    assert_eq!(expected[0].text(&dataset.classes), "the only training image of class `none` has a fault");
}

#[test]
fn a_check_can_be_stopped_and_nothing_is_no_data_set() {
    let place = Place::new();
    let mut dataset = place.open();
    let stopped = run(&dataset, 2, &mut |done, total| {
        assert_eq!(total, 12);
        if done == 3 { Break(()) } else { Continue(()) }
    });
    assert!(matches!(stopped, Err(Error::Stopped { done: 3, images: 12 })), "{stopped:?}");
    let all: String = (0..3).map(|i| format!("val/{}/v.bmp\n", ["ant", "bee", "cow"][i])).collect();
    dataset = Quarantine::parse(Path::new("list"), &all).apply(dataset, place.root()).expect("training is left");
    assert_eq!(dataset.val.len(), 0);
    dataset.train = dataset.val.clone();
    assert!(matches!(run(&dataset, 2, &mut |_, _| Continue(())), Err(Error::Empty { .. })));
}

#[test]
fn images_in_quarantine_are_gone_from_both_splits_and_the_others_stay() {
    let place = Place::new();
    let dataset = place.open();
    let text = "# why\ntrain/bee/1.bmp\nval/cow/v.bmp\ntrain/yak/1.bmp\n../outside.bmp\n";
    let kept = Quarantine::parse(Path::new("list.txt"), text).apply(dataset.clone(), place.root()).expect("a data set");
    assert_eq!(
        kept.notes,
        [
            "2 images are in quarantine by list.txt: 1 of training, 1 of validation",
            "in list.txt: 2 names are of no images here: `../outside.bmp`, `train/yak/1.bmp`",
        ]
    );
    let listed = |source: &dyn Source| -> Vec<(String, u32, data::Image)> {
        (0..source.len()).map(|i| (source.name(i).into_owned(), source.label(i), source.read(i).expect("whole"))).collect()
    };
    for (all, left, gone) in [(&dataset.train, &kept.train, "train/bee/1.bmp"), (&dataset.val, &kept.val, "val/cow/v.bmp")] {
        let mut expected = listed(&**all);
        expected.retain(|(name, ..)| !name.ends_with(gone));
        assert_eq!(listed(&**left), expected);
        left.announce(&[0, left.len() as u32 - 1]);
    }
    assert_eq!(kept.classes, dataset.classes);

    let all = "train/bee/0.bmp\ntrain/bee/1.bmp\ntrain/bee/2.bmp\n";
    let error = Quarantine::parse(Path::new("list.txt"), all).apply(dataset, place.root()).expect_err("a class is lost");
    assert_eq!(error.to_string(), "list.txt leaves 1 class without training images: `bee`");
    place.write("list.bin", [0xff, 0xfe, 0]);
    let error = Quarantine::read(&place.root.path().join("list.bin")).expect_err("no text");
    assert!(
        error.to_string().ends_with("list.bin is no list of images: expected a path a line, found bytes that are no UTF-8 text")
    );
}

#[test]
fn a_set_without_its_findings_has_none() {
    let place = Place::new();
    one_of_everything(&place);
    let dataset = place.open();
    let report = place.report(&dataset, 2);
    let list: String = report.findings.iter().map(|f| quarantine_line(&f.name(&dataset, place.root())) + "\n").collect();
    let clean = Quarantine::parse(Path::new("list"), &list).apply(dataset, place.root()).expect("every class is left");
    let again = place.report(&clean, 2);
    assert_eq!((again.findings, again.classes), (vec![], vec![]));
    assert_eq!((again.train, again.val), (10, 3));
}

#[test]
fn pixels_that_lie_ready_are_looked_at_too() {
    let dataset = data::scenes::dataset(0);
    let few: String = (0..dataset.train.len())
        .filter(|i| i % 97 != 0)
        .map(|i| dataset.train.name(i).into_owned() + "\n")
        .chain((0..dataset.val.len()).map(|i| dataset.val.name(i).into_owned() + "\n"))
        .collect();
    let few = Quarantine::parse(Path::new("list"), &few).apply(dataset, None).expect("some of each class");
    let report = run(&few, 2, &mut |_, _| Continue(())).expect("a report");
    assert_eq!((report.faulty_images(), report.bytes), (0, 0));
    assert_eq!(report.formats.into_iter().collect::<Vec<_>>(), [("pixels", report.train)]);
    assert_eq!(Format::WebP.name(), "WebP");
}
