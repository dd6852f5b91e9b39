//! The plugin's YAML configuration as our TOML, with a comment for what has no counterpart.

use std::fmt::Write;

use saphyr::{LoadableYamlNode, Yaml};

/// Why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is no YAML.
    #[error("it is no YAML")]
    Yaml(#[source] saphyr::ScanError),
    /// It has no section of the plugin, so there is nothing to import.
    #[error("it has no section erwscascade")]
    NoSection,
}

/// Where the plugin fetches from when it is asked for a path.
const ASSUMED_API: &str = "http://127.0.0.1:8440";
/// Where m7s serves its streams by default.
const ASSUMED_HTTP: &str = "http://127.0.0.1:8080";
/// The keys of a site's section that are imported.
const SITE_KEYS: [&str; 4] = ["cid", "cinfo", "server", "push"];

/// The configuration of `downstream` that does what a site's plugin does.
///
/// # Errors
/// [`Error`].
pub fn downstream(yaml: &str) -> Result<String, Error> {
    let (root, section) = load(yaml)?;
    let mut out = String::from("# Made from the configuration of the m7s plugin erwscascade.\n");
    identity(&section, &mut out);
    servers(&section, &mut out);
    let _ = write!(
        out,
        "\n# The plugin fetches from anywhere in the site's network. Only listed services can be reached here.\n\
         [services.local]\nurl = \"{ASSUMED_API}\"\n\n\
         # Paths that the plugin would have fetched there.\n[m7s]\ndefault_service = \"local\"\n"
    );
    pushes(&section, &mut out);
    left_out(&root, &section, &SITE_KEYS, &mut out);
    Ok(out)
}

/// The configuration of `upstream` that takes the sites of such a host.
///
/// # Errors
/// [`Error`].
pub fn upstream(yaml: &str) -> Result<String, Error> {
    let (root, section) = load(yaml)?;
    let mut out = String::from("# Made from the configuration of the m7s plugin erwscascade.\n");
    let global = root.as_mapping_get("global").and_then(|global| global.as_mapping_get("http"));
    let http = root.as_mapping_get("http").or(global);
    let listen = http.and_then(|http| text(http, "listenaddr")).unwrap_or_else(|| ":8080".to_owned());
    let listen = if listen.starts_with(':') { format!("0.0.0.0{listen}") } else { listen };
    let _ = write!(
        out,
        "listen = {}\n\
         # The plugin asks nobody for credentials. On a public address this program wants them for api, publish and\n\
         # proxy ([access]), or this word:\n# open = true\n\n\
         [m7s]\n# Sites that may join without a token of their own; make tokens by `upstream site add CID`.\ncids = []\n",
        quoted(&listen)
    );
    left_out(&root, &section, &[], &mut out);
    Ok(out)
}

fn load(yaml: &str) -> Result<(Yaml<'_>, Yaml<'_>), Error> {
    let root = Yaml::load_from_str(yaml).map_err(Error::Yaml)?.into_iter().next().ok_or(Error::NoSection)?;
    let section = root.as_mapping_get("erwscascade").cloned().ok_or(Error::NoSection)?;
    Ok((root, section))
}

fn identity(section: &Yaml<'_>, out: &mut String) {
    let info = section.as_mapping_get("cinfo");
    let said = |key: &str| info.and_then(|info| text(info, key));
    match said("cid").or_else(|| text(section, "cid")) {
        Some(cid) => line(out, "site", &cid),
        None => {
            out.push_str("# No cid is set: the plugin makes a new one at each start, this program keeps its own.\n")
        }
    }
    if let Some(name) = said("name") {
        line(out, "name", &name);
    }
    if let Some(serial) = said("serial") {
        let _ = writeln!(out, "# No counterpart: cinfo.serial = {serial}");
    }
}

fn servers(section: &Yaml<'_>, out: &mut String) {
    let servers = section.as_mapping_get("server").and_then(Yaml::as_sequence);
    if servers.is_none_or(Vec::is_empty) {
        out.push_str(
            "\n# The plugin dials no server; this program needs one.\n# [[upstreams]]\n# url = \"wss://HOST\"\n",
        );
    }
    for server in servers.into_iter().flatten() {
        let protocol = text(server, "protocol").unwrap_or_else(|| "ws".to_owned());
        let host = text(server, "host").unwrap_or_else(|| "127.0.0.1".to_owned());
        let port = text(server, "port").map(|port| format!(":{port}")).unwrap_or_default();
        let prefix = text(server, "conextpath").unwrap_or_default();
        let prefix = prefix.trim_matches('/');
        let path = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        out.push_str("\n[[upstreams]]\n");
        line(out, "url", &format!("{protocol}://{host}{port}{path}"));
        out.push_str("protocol = \"auto\"\n");
        if protocol == "wss" {
            out.push_str("# The plugin verifies no certificate. If this one cannot be verified: insecure = true\n");
        }
    }
}

fn pushes(section: &Yaml<'_>, out: &mut String) {
    let push = section.as_mapping_get("push");
    let list = push.and_then(|push| push.as_mapping_get("pushlist")).and_then(Yaml::as_mapping);
    for (stream, target) in list.into_iter().flatten() {
        let (Some(stream), Some(target)) = (scalar(stream), scalar(target)) else { continue };
        let _ = write!(
            out,
            "\n# Pushed to {target} by the plugin; here to the upstreams above, whatever the address.\n\
             [streams.{}]\nsource = \"{ASSUMED_HTTP}/hdl/{stream}.flv\"\nalways = true\n",
            quoted(&stream)
        );
    }
    if let Some(repush) = push.and_then(|push| text(push, "repush")).filter(|repush| repush != "-1") {
        let _ = writeln!(out, "# No counterpart: push.repush = {repush}; pushes are tried again for ever.");
    }
}

fn left_out(root: &Yaml<'_>, section: &Yaml<'_>, known: &[&str], out: &mut String) {
    let keys = |of: &Yaml<'_>, skip: &[&str]| -> Vec<String> {
        let keys = of.as_mapping().into_iter().flatten().filter_map(|(key, _)| scalar(key));
        keys.filter(|key| !skip.contains(&key.as_str())).collect()
    };
    let unknown = keys(section, known);
    if !unknown.is_empty() {
        let _ = writeln!(out, "\n# No counterpart in erwscascade: {}", unknown.join(", "));
    }
    let others = keys(root, &["erwscascade"]);
    if !others.is_empty() {
        let _ = writeln!(out, "\n# Not imported, of m7s itself and of other plugins: {}", others.join(", "));
    }
}

fn line(out: &mut String, key: &str, value: &str) {
    let _ = writeln!(out, "{key} = {}", quoted(value));
}

/// JSON's strings are TOML's basic strings too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn text(of: &Yaml<'_>, key: &str) -> Option<String> {
    of.as_mapping_get(key).and_then(scalar).filter(|text| !text.is_empty())
}

/// Ports and serial numbers are often written without quotes.
fn scalar(value: &Yaml<'_>) -> Option<String> {
    value.as_str().map(ToOwned::to_owned).or_else(|| value.as_integer().map(|number| number.to_string()))
}
