//! What the sections of protocols with ports of their own have in common.

use sluicegate_net::port::Addresses;

/// Adds what is wrong with a section's ports. `open` tells that anybody may publish because no token is set, though nobody
/// has said so by name.
pub(crate) fn validate(
    section: &str,
    addresses: Addresses,
    max_connections: usize,
    has_certificate: bool,
    open: bool,
    faults: &mut Vec<String>,
) {
    if addresses.secure.is_some() && !has_certificate {
        faults.push(format!("{section}.listen_tls needs a certificate and a key in [tls]"));
    }
    if max_connections == 0 {
        faults.push(format!("{section}.max_connections must not be 0"));
    }
    if let Some(address) = addresses.public().next().filter(|_| open) {
        faults.push(format!(
            "{section}: {address} is a public address, and access.publish_token is not set; set it in the configuration \
             file, or say --open to let anybody in"
        ));
    }
}
