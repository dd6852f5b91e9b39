//! `downstream discover`: which cameras are there, and the configuration for them.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use sluicegate_launch::{Failure, Secret, Span};
use sluicegate_onvif::{Config, Credentials, Found, Target, search};

mod listing;

use listing::Listing;

const EXAMPLES: &str = "\
Examples:
  downstream discover
      Who is there? Cameras that tell their streams to nobody without a password are listed, too.

  downstream discover --user admin --password-file camera.password >> downstream.toml
      The streams of all cameras that take this user, as configuration of the site.

  downstream discover --address 10.0.0.9 --user admin --password-file camera.password
      One camera, also behind a router; http://10.0.0.9:8080 when its web server is not at port 80.

The password is shown to cameras by a digest only, and never printed: the configuration names
the file that holds it. Cameras with other passwords are asked one by one with --address.

No camera? Discovery is by UDP multicast to 239.255.255.250 and ff02::c, port 3702: it ends at
routers, and often at Wi-Fi access points. Answers come from port 3702 of the camera, which a
firewall here must let in. ONVIF has to be enabled in the settings of many cameras, some of
which also want a user of its own for it.";

/// Lists the cameras of this network that speak ONVIF, and prints the configuration for them
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// How long to wait for answers to the probes
    #[arg(long, value_name = "TIME", default_value = "4s")]
    timeout: Span,
    /// Ask on this interface only, by its name or one of its addresses; may be given several times
    #[arg(long, value_name = "NAME|ADDRESS")]
    interface: Vec<String>,
    /// Ask this camera only, by HOST, HOST:PORT of its probes, or http://HOST:PORT; may be given several times
    #[arg(long, value_name = "HOST[:PORT]", value_parser = parse_target)]
    address: Vec<Target>,
    /// The user at the cameras
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The user's password; others on this machine can see it in the list of processes
    #[arg(long, value_name = "PASSWORD", env = "SLUICEGATE_CAMERA_PASSWORD", hide_env_values = true,
          value_parser = parse_secret)]
    password: Option<Secret>,
    /// File with the password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Do not verify certificates of cameras that are asked by HTTPS
    #[arg(long)]
    insecure: bool,
    /// Print all that cameras tell as JSON, in place of the configuration
    #[arg(long)]
    json: bool,
}

fn parse_target(text: &str) -> Result<Target, String> {
    text.parse().map_err(|fault: &str| fault.to_owned())
}

fn parse_secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

/// What is to be printed, and why there is nothing to be configured if that is so.
pub(crate) type Outcome = (String, Result<(), Failure>);

/// Asks the cameras.
pub(crate) async fn run(options: &Options) -> Result<Outcome, Failure> {
    let credentials = options.credentials().map_err(|fault| Failure::Usage(vec![fault]))?;
    let config = Config {
        wait: options.timeout.0,
        targets: options.address.clone(),
        interfaces: options.interface.clone(),
        credentials,
        insecure: options.insecure,
        ..Config::default()
    };
    let found = search(&config).await.map_err(|error| Failure::work("looking for cameras", error))?;
    let login = config
        .credentials
        .map(|credentials| Login { user: credentials.user, password_file: options.password_file.clone() });
    let listing = Listing::of(&found);
    let text = if options.json {
        serde_json::to_string_pretty(&json(&listing)).map_err(|error| Failure::work("printing", error))?
    } else {
        listing.toml(login.as_ref())
    };
    let end = if listing.has_streams() { Ok(()) } else { Err(Failure::work(nothing(&found), hints(options, &found))) };
    Ok((text, end))
}

/// How the printed configuration tells who asks for streams.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Login {
    user: String,
    password_file: Option<PathBuf>,
}

impl Login {
    /// The file that is to hold the password.
    fn file(&self) -> &Path {
        self.password_file.as_deref().unwrap_or(Path::new("camera.password"))
    }
}

impl Options {
    fn credentials(&self) -> Result<Option<Credentials>, String> {
        // A file that is named goes before the environment, which clap cannot tell from the flag.
        let inline = self.password.as_ref().filter(|_| self.password_file.is_none());
        let password = Secret::choose("--password", inline, self.password_file.as_deref())?;
        match (&self.user, password) {
            (Some(user), Some(password)) => {
                Ok(Some(Credentials { user: user.clone(), password: password.reveal().to_owned() }))
            }
            (Some(_), None) => Err("--user needs --password-file, --password or SLUICEGATE_CAMERA_PASSWORD".to_owned()),
            (None, Some(_)) => Err("a password is given without --user".to_owned()),
            (None, None) => Ok(None),
        }
    }
}

fn nothing(found: &[Found]) -> String {
    match found.len() {
        0 => "no camera answered".to_owned(),
        1 => "the camera that was asked tells no stream".to_owned(),
        count => format!("none of the {count} cameras that were asked tells a stream"),
    }
}

/// What is to be looked at when there is nothing to configure.
fn hints(options: &Options, found: &[Found]) -> String {
    if !found.is_empty() {
        return "what each said is printed above; see `downstream discover --help`".to_owned();
    }
    let wait = options.timeout;
    format!(
        "nothing within {wait}. Check that
  - the cameras are on the same subnet: probes do not pass routers; with --address HOST one is asked beyond them
  - this is the right network: --interface NAME chooses one, the lines above tell which were asked
  - multicast passes: Wi-Fi access points and switches can be set to keep it back
  - a firewall on this machine lets in UDP that comes from port 3702
  - ONVIF is enabled in the cameras' settings"
    )
}

fn json(listing: &Listing<'_>) -> Value {
    let one = |entry: &listing::Entry<'_>| {
        let Found { service, name, hardware, answered, told } = entry.found;
        let mut value = json!({ "service": service, "name": name, "hardware": hardware, "answered": answered });
        let members = match told {
            Err(trouble) => json!({ "error": trouble.to_string() }),
            Ok(device) => {
                let profile = |profile: &sluicegate_onvif::Profile| {
                    json!({
                        "token": profile.token, "name": profile.name, "source": profile.source,
                        "encoding": profile.encoding, "width": profile.width, "height": profile.height,
                        "rate": profile.rate, "kilobits": profile.kilobits, "sound": profile.sound,
                        "url": profile.stream,
                    })
                };
                let stream = |stream: &listing::Stream<'_>| json!({ "name": stream.name, "main": stream.main.token, "sub": stream.sub.map(|sub| &sub.token) });
                json!({
                    "manufacturer": device.manufacturer, "model": device.model, "firmware": device.firmware,
                    "serial": device.serial, "clock_ahead_seconds": device.clock_ahead,
                    "profiles": device.profiles.iter().map(profile).collect::<Vec<_>>(),
                    "streams": entry.streams.iter().map(stream).collect::<Vec<_>>(),
                })
            }
        };
        if let (Some(value), Value::Object(members)) = (value.as_object_mut(), members) {
            value.extend(members);
        }
        value
    };
    Value::Array(listing.entries.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Arguments, Command};

    fn options(line: &str) -> Options {
        let arguments = Arguments::parse_from(["downstream", "discover"].into_iter().chain(line.split_whitespace()));
        let Some(Command::Discover(options)) = arguments.command else { panic!("{arguments:?}") };
        options
    }

    #[test]
    fn when_nobody_answers_it_says_what_to_look_at() {
        let text = format!("{}: {}", nothing(&[]), hints(&options("--timeout 2s"), &[]));
        for part in
            ["no camera answered: nothing within 2s", "subnet", "multicast", "firewall", "3702", "ONVIF is enabled"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_password_is_never_shown_and_goes_with_a_user() {
        let options = options("--user admin --password hidden");
        assert!(!format!("{options:?}").contains("hidden"));
        assert_eq!(options.credentials().unwrap().unwrap().password, "hidden");
        assert!(Options { user: None, ..options }.credentials().unwrap_err().contains("without --user"));
    }
}
