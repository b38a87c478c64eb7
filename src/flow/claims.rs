//! Resources that a running flow uses exclusively.

use std::fmt;

use url::Url;

use super::refusal::{Path, Refusal};
use super::{Flow, FlowId, Node};

/// A resource that only one running pipeline of a machine can use.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Claim {
    /// The UDP port of an SRT listener.
    SrtPort(u16),
    /// The name of an NDI sender.
    NdiName(String),
    /// A capture or playout device: the kind of the node that opens it, and its number or name.
    Device(String, String),
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SrtPort(port) => write!(f, "the SRT listener port {port}"),
            Self::NdiName(name) => write!(f, "the NDI name `{name}`"),
            Self::Device(kind, device) => write!(f, "the device `{device}` of `{kind}`"),
        }
    }
}

impl Claim {
    /// Returns a warning about another flow with the same claim.
    pub fn also_claimed_by(&self, name: &str, id: FlowId) -> String {
        format!("{self} is also claimed by the flow {name} ({id})")
    }
}

/// Properties that name a device.
const DEVICES: [&str; 4] = ["device", "device-number", "device_number", "device-name"];
/// Properties that name an NDI sender.
const NDI_NAMES: [&str; 2] = ["ndi-name", "ndi_name"];

impl Flow {
    /// Returns the claims of the flow and the path of the property that makes each claim.
    ///
    /// # Errors
    /// As [`Flow::canonical`].
    ///
    /// ```
    /// # use strom_store::flow::{Claim, Flow};
    /// let flow = Flow::parse(
    ///     r#"{"id":"6f1d3c5e-0000-4000-8000-000000000001","name":"a","elements":[
    ///         {"id":"in","element_type":"srtsrc","properties":{"uri":"srt://:5000?mode=listener"}}]}"#,
    /// )?;
    /// let (path, claim) = &flow.claims()?[0];
    /// assert_eq!(*claim, Claim::SrtPort(5000));
    /// assert_eq!(path.to_string(), "$.elements[0].properties.uri");
    /// # Ok::<(), strom_store::Refusal>(())
    /// ```
    pub fn claims(&self) -> Result<Vec<(Path, Claim)>, Refusal> {
        let node = self.node()?;
        let mut claims = Vec::new();
        for (list, kind) in [("elements", "element_type"), ("blocks", "block_definition_id")] {
            for (index, item) in node.get(list).map_or(&[][..], Node::items).iter().enumerate() {
                let kind = item.get(kind).and_then(Node::as_str).unwrap_or_default();
                let Some(Node::Object(properties)) = item.get("properties") else { continue };
                for (name, value) in properties {
                    if let Some(claim) = claim(kind, name, value) {
                        let path = Path::member(list).then_index(index).then_member("properties").then_member(name);
                        claims.push((path, claim));
                    }
                }
            }
        }
        Ok(claims)
    }
}

fn claim(kind: &str, name: &str, value: &Node<'_>) -> Option<Claim> {
    let text = match value {
        Node::String(text) if !text.is_empty() => text.as_ref(),
        Node::Number(text) => text,
        _ => return None,
    };
    if text.starts_with("srt://") {
        return srt_port(text).map(Claim::SrtPort);
    }
    // An NDI receiver also names a sender, but several receivers can share it.
    let sends_ndi = kind == "ndisink" || kind == "builtin.ndi_output";
    match name {
        _ if sends_ndi && NDI_NAMES.contains(&name) => Some(Claim::NdiName(text.to_owned())),
        _ if !sends_ndi && DEVICES.contains(&name) => Some(Claim::Device(kind.to_owned(), text.to_owned())),
        _ => None,
    }
}

/// Returns the port of an SRT listener: an address with `mode=listener`, or without a mode and a host.
fn srt_port(address: &str) -> Option<u16> {
    // The URL parser rejects a port without a host.
    let address = address.replacen("srt://:", "srt://0.0.0.0:", 1);
    let url = Url::parse(&address).ok()?;
    let mode = url.query_pairs().find(|(name, _)| name == "mode").map(|(_, mode)| mode.into_owned());
    let listens = match mode.as_deref() {
        Some(mode) => mode == "listener",
        None => matches!(url.host_str(), None | Some("" | "0.0.0.0")),
    };
    url.port().filter(|_| listens)
}

#[cfg(test)]
mod tests {
    use super::{Claim, srt_port};
    use crate::flow::Flow;

    #[test]
    fn listeners_have_a_port() {
        assert_eq!(srt_port("srt://:5000?mode=listener"), Some(5000));
        assert_eq!(srt_port("srt://:5000"), Some(5000));
        assert_eq!(srt_port("srt://10.0.0.1:5001?latency=5&mode=listener"), Some(5001));
        for caller in ["srt://10.0.0.1:5000", "srt://:5000?mode=caller", "srt://", "srt://:x", "srt://[::1"] {
            assert_eq!(srt_port(caller), None, "{caller}");
        }
    }

    #[test]
    fn senders_and_devices_are_claimed_and_receivers_are_not() {
        let flow = Flow::parse(
            r#"{"id":"6f1d3c5e-0000-4000-8000-000000000001","name":"a",
                "elements":[{"element_type":"ndisink","properties":{"ndi-name":"A"}},
                    {"element_type":"ndisrc","properties":{"ndi-name":"A"}},{"element_type":"x","properties":7}, 1],
                "blocks":[{"block_definition_id":"builtin.decklink_video_input","properties":{"device_number":1}}]}"#,
        );
        let claims: Vec<_> = flow.unwrap().claims().unwrap().into_iter().map(|(_, claim)| claim).collect();
        let device = Claim::Device("builtin.decklink_video_input".into(), "1".into());
        assert_eq!(claims, [Claim::NdiName("A".into()), device]);
    }
}
