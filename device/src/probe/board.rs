//! The machine's name: from the device tree on boards, from DMI on PCs.

use serde::Serialize;

use super::Root;

/// A machine's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Board {
    /// The model, if the system reports one.
    pub model: Option<String>,
    /// The device tree's `compatible` strings, most specific first.
    pub compatible: Vec<String>,
}

/// The paths of the device tree; the first is a link to the second.
const DEVICE_TREES: [&str; 2] = ["proc/device-tree", "sys/firmware/devicetree/base"];

/// Placeholders that firmware vendors write in unused fields.
const NOTHING: [&str; 5] = [
    "",
    "Default string",
    "To be filled by O.E.M.",
    "System Product Name",
    "None",
];

impl Board {
    pub(super) fn probe(root: &Root) -> Self {
        let tree = |entry: &str| {
            DEVICE_TREES
                .iter()
                .find_map(|tree| root.bytes(&format!("{tree}/{entry}")))
        };
        let compatible = tree("compatible")
            .map(|bytes| strings(&bytes))
            .unwrap_or_default();
        let model = tree("model").and_then(|bytes| strings(&bytes).into_iter().next());
        Board {
            model: model.or_else(|| dmi(root)),
            compatible,
        }
    }
}

/// Splits a list of NUL-terminated strings, as the device tree stores them.
fn strings(bytes: &[u8]) -> Vec<String> {
    let strings = bytes
        .split(|byte| *byte == 0)
        .map(|text| String::from_utf8_lossy(text).trim().to_owned());
    strings.filter(|text| !text.is_empty()).collect()
}

/// Vendor and product name from DMI.
fn dmi(root: &Root) -> Option<String> {
    let field = |name: &str| {
        let text = root.text(&format!("sys/class/dmi/id/{name}"))?;
        (!NOTHING.contains(&text.as_str())).then_some(text)
    };
    let product = field("product_name").or_else(|| field("board_name"))?;
    match field("sys_vendor").or_else(|| field("board_vendor")) {
        Some(vendor) if !product.starts_with(&vendor) => Some(format!("{vendor} {product}")),
        _ => Some(product),
    }
}
