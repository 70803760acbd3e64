//! A page of images beside those that are like them, as in figure 4 of the paper.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// An image on a page.
pub(crate) struct Picture {
    name: String,
    /// Its absolute path, where it is a file.
    file: Option<PathBuf>,
}

impl Picture {
    /// The image of that name, which may be a path from `folder` on.
    pub(crate) fn of(name: &str, folder: &Path) -> Picture {
        let file = Some(folder.join(name)).filter(|path| path.is_file()).and_then(|path| std::path::absolute(path).ok());
        Picture { name: name.into(), file }
    }
}

/// An image, and those that are like it with their distances, the nearest first.
pub(crate) struct Shelf {
    pub(crate) query: Picture,
    pub(crate) like: Vec<(Picture, f64)>,
}

const STYLE: &str = "\
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; color: #222; background: #fff }
section { display: flex; flex-wrap: wrap; gap: 12px; padding: 16px 0; border-top: 1px solid #ddd }
figure { margin: 0; width: 168px; overflow-wrap: anywhere }
figure:first-child { margin-right: 24px }
img, .none { width: 168px; height: 168px; object-fit: contain; background: #f2f2f2; display: block }
.none { display: flex; align-items: center; justify-content: center; color: #888 }
figcaption b { font-weight: 600 }
";

/// The page, whole in itself but for the images, which it names by their paths from `folder` on, or whole where they lie elsewhere.
pub(crate) fn page(about: &str, shelves: &[Shelf], folder: &Path) -> String {
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Similar images</title>\n<style>\n{STYLE}</style>\n\
         <h1>Similar images</h1>\n<p>{}; the image on the left, then its nearest by Euclidean distance.</p>\n",
        escaped(about)
    );
    for Shelf { query, like } in shelves {
        text += "<section>\n";
        text += &figure(query, None, folder);
        like.iter().for_each(|(picture, distance)| text += &figure(picture, Some(*distance), folder));
        text += "</section>\n";
    }
    text + "</html>\n"
}

fn figure(picture: &Picture, distance: Option<f64>, folder: &Path) -> String {
    let name = escaped(&picture.name);
    let image = match &picture.file {
        Some(file) => format!("<img src=\"{}\" alt=\"{name}\" loading=\"lazy\">", escaped(&link(file, folder))),
        None => "<div class=\"none\">no file</div>".into(),
    };
    let number = distance.map_or(String::new(), |distance| format!("<b>{distance:.3}</b> "));
    format!("<figure>{image}<figcaption>{number}{name}</figcaption></figure>\n")
}

/// A reference to a file from a page in `folder` (RFC 3986): bytes that are not plain as `%` and two digits.
fn link(file: &Path, folder: &Path) -> String {
    let (start, path) = match file.strip_prefix(folder) {
        // A first folder with a colon in it would be read as the name of a protocol.
        Ok(inner) => ("./", inner.to_path_buf()),
        Err(_) if cfg!(windows) => ("file:///", file.to_path_buf()),
        Err(_) => ("", file.to_path_buf()),
    };
    let mut text = start.to_string();
    for byte in bytes_of(&path) {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => text.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
    text
}

#[cfg(unix)]
fn bytes_of(path: &Path) -> Vec<u8> {
    std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).to_vec()
}

#[cfg(not(unix))]
fn bytes_of(path: &Path) -> Vec<u8> {
    path.display().to_string().replace('\\', "/").into_bytes()
}

/// Text within HTML, in an attribute or not.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_are_escaped() {
        let folder = tempfile::tempdir().unwrap();
        let odd = "a:b/<\"é' & #1?.jpg";
        std::fs::create_dir(folder.path().join("a:b")).unwrap();
        std::fs::write(folder.path().join(odd), "").unwrap();
        let shelf = || Shelf { query: Picture::of(odd, folder.path()), like: vec![(Picture::of("<gone>", folder.path()), 1.25)] };
        let text = page("x < y", &[shelf()], folder.path());
        let image = r#"<img src="./a%3Ab/%3C%22%C3%A9%27%20%26%20%231%3F.jpg" alt="a:b/&lt;&quot;é&#39; &amp; #1?.jpg""#;
        assert!(text.contains(image), "{text}");
        assert!(text.contains("<div class=\"none\">no file</div><figcaption><b>1.250</b> &lt;gone&gt;</figcaption>"), "{text}");
        assert!(text.contains("<p>x &lt; y;") && !text.contains("<gone>"), "{text}");
        let elsewhere = page("", &[shelf()], &folder.path().join("pages"));
        let root = link(folder.path(), Path::new("none"));
        assert!(elsewhere.contains(&format!("<img src=\"{root}/a%3Ab/")), "{elsewhere}");
    }
}
