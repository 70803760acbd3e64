//! Which columns hold images and labels, and what the labels mean.

use ::parquet::basic::Type;
use ::parquet::file::metadata::FileMetaData;
use ::parquet::schema::types::ColumnDescriptor;
use serde_json::Value;

/// What columns of images and of labels are called, the best first, where the Hub's metadata does not say.
const IMAGES: [&str; 6] = ["image", "img", "jpg", "jpeg", "png", "webp"];
const LABELS: [&str; 6] = ["label", "labels", "fine_label", "class", "cls", "target"];

/// Columns by their index among the leaves of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) image: usize,
    pub(super) label: usize,
    /// What the Hub's metadata call the classes; empty where they do not.
    pub(super) names: Vec<String>,
}

impl Columns {
    /// The columns of a file; an error says what there is instead.
    pub(super) fn of(metadata: &FileMetaData) -> Result<Columns, String> {
        let features = features(metadata);
        let kind = |column: &str| features.as_ref()?.get(column)?.get("_type")?.as_str();
        let leaves = metadata.schema_descr().columns();
        let best = |names: &[&str], wanted: &str, fits: &dyn Fn(&ColumnDescriptor) -> bool| {
            let rank = |root: &str| {
                let named = names.iter().position(|name| *name == root);
                let typed = kind(root) == Some(wanted);
                (typed || named.is_some()).then_some((!typed, named.unwrap_or(names.len())))
            };
            let of_leaf = |(index, leaf): (usize, &std::sync::Arc<ColumnDescriptor>)| {
                // A list's values are not one to a row.
                let fits = leaf.max_rep_level() == 0 && fits(leaf);
                Some((rank(&leaf.path().parts()[0]).filter(|_| fits)?, index))
            };
            leaves.iter().enumerate().filter_map(of_leaf).min().map(|(_, index)| index)
        };
        let is_image = |leaf: &ColumnDescriptor| {
            let parts = leaf.path().parts();
            leaf.physical_type() == Type::BYTE_ARRAY && (parts.len() == 1 || parts.len() == 2 && parts[1] == "bytes")
        };
        let is_label =
            |leaf: &ColumnDescriptor| leaf.path().parts().len() == 1 && matches!(leaf.physical_type(), Type::INT32 | Type::INT64);
        let has = || {
            let texts: Vec<String> = leaves.iter().map(|leaf| format!("{}: {}", leaf.path(), leaf.physical_type())).collect();
            texts.join(", ")
        };
        let image =
            best(&IMAGES, "Image", &is_image).ok_or_else(|| format!("expected a column `image` of bytes, found {}", has()))?;
        let label = best(&LABELS, "ClassLabel", &is_label)
            .ok_or_else(|| format!("expected a column `label` of integers, found {}", has()))?;
        let names = features.as_ref().and_then(|f| f.get(&leaves[label].path().parts()[0])?.get("names")?.as_array().cloned());
        let names = names.unwrap_or_default().iter().filter_map(|name| Some(name.as_str()?.to_string())).collect();
        Ok(Columns { image, label, names })
    }
}

/// What the Hub's library says about each column.
fn features(metadata: &FileMetaData) -> Option<Value> {
    let entry = metadata.key_value_metadata()?.iter().find(|entry| entry.key == "huggingface")?;
    let value: Value = serde_json::from_str(entry.value.as_deref()?).ok()?;
    value.get("info")?.get("features").cloned()
}
