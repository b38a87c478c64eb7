//! The servers that a URL accepts, and the role of a server.

use std::str::FromStr;

/// The values of `target_session_attrs`: which of several servers is suitable.
/// Source: <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetSessionAttrs {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

impl FromStr for TargetSessionAttrs {
    /// The valid values.
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        Ok(match text {
            "any" => Self::Any,
            "read-write" => Self::ReadWrite,
            "read-only" => Self::ReadOnly,
            "primary" => Self::Primary,
            "standby" => Self::Standby,
            "prefer-standby" => Self::PreferStandby,
            _ => {
                return Err("`any`, `read-write`, `read-only`, `primary`, `standby`, `prefer-standby`");
            }
        })
    }
}

/// The role of a server, as its sessions see it.
pub(super) struct ServerRole {
    /// The session cannot write: the server is a standby or configured as read-only.
    pub(super) is_read_only: bool,
    /// The server replays the log of another server.
    pub(super) is_standby: bool,
}

impl ServerRole {
    /// Whether the server is suitable. `PreferStandby` accepts every server; the selection tries standbys first.
    pub(super) fn satisfies(&self, target: TargetSessionAttrs) -> bool {
        match target {
            TargetSessionAttrs::Any | TargetSessionAttrs::PreferStandby => true,
            TargetSessionAttrs::ReadWrite => !self.is_read_only,
            TargetSessionAttrs::ReadOnly => self.is_read_only,
            TargetSessionAttrs::Primary => !self.is_standby,
            TargetSessionAttrs::Standby => self.is_standby,
        }
    }
}
