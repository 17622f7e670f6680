//! CLIENT KILL: an address alone, or filters that must all fit.

use super::client::Class;
use crate::command::ctx::{Args, CmdError, CmdResult, REPLIED};
use crate::engine::{Client, ClientId, Closing, Server};
use crate::util::num;

/// What a client must be to be closed.
#[derive(Default)]
struct Filter<'a> {
    id: Option<u64>,
    class: Option<Class>,
    user: Option<&'a [u8]>,
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    /// The calling client is spared.
    skip_me: bool,
}

impl<'a> Filter<'a> {
    fn parse(server: &Server, args: &mut Args<'a>) -> Result<Filter<'a>, CmdError> {
        let mut filter = Filter {
            skip_me: true,
            ..Filter::default()
        };
        while let Some(option) = args.next_arg() {
            let value = args.bytes()?;
            match option.to_ascii_lowercase().as_slice() {
                b"id" => filter.id = Some(number(value)?),
                b"type" => filter.class = Some(Class::parse(value)?),
                b"user" => {
                    if server.users.get(value).is_none() {
                        let mut text = b"No such user '".to_vec();
                        text.extend_from_slice(value);
                        text.push(b'\'');
                        return Err(CmdError::err(text));
                    }
                    filter.user = Some(value);
                }
                b"addr" => filter.addr = Some(value),
                b"laddr" => filter.laddr = Some(value),
                b"skipme" if value.eq_ignore_ascii_case(b"yes") => filter.skip_me = true,
                b"skipme" if value.eq_ignore_ascii_case(b"no") => filter.skip_me = false,
                _ => return Err(CmdError::Syntax),
            }
        }
        Ok(filter)
    }

    fn fits(&self, client: &Client, me: ClientId) -> bool {
        let equal =
            |wanted: Option<&[u8]>, value: &[u8]| wanted.is_none_or(|wanted| wanted == value);
        equal(self.addr, client.raw.addr.as_bytes())
            && equal(self.laddr, client.raw.laddr.as_bytes())
            && equal(self.user, client.user.name())
            && self.class.is_none_or(|class| class.has(client.kind()))
            && self.id.is_none_or(|id| id == client.id)
            && !(self.skip_me && client.handle == me)
    }
}

fn number(value: &[u8]) -> Result<u64, CmdError> {
    num::parse_i64(value)
        .and_then(|number| u64::try_from(number).ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| CmdError::err("client-id should be greater than 0"))
}

pub(super) fn client_kill(server: &mut Server, id: ClientId, mut args: Args<'_>) -> CmdResult {
    let by_address = args.left() == 1;
    let filter = if by_address {
        Filter {
            addr: Some(args.bytes()?),
            ..Filter::default()
        }
    } else {
        Filter::parse(server, &mut args)?
    };
    let clients = server.clients.iter();
    let killed: Vec<ClientId> = clients
        .filter(|client| filter.fits(client, id))
        .map(|client| client.handle)
        .collect();
    if !by_address {
        server.reply(id).integer(killed.len() as i64);
    } else if killed.is_empty() {
        return Err(CmdError::err("No such client"));
    } else {
        server.reply(id).ok();
    }
    for client in killed {
        if client == id {
            server.clients.close(client, Closing::AfterReply);
        } else {
            server.cut_off(client);
        }
    }
    REPLIED
}
