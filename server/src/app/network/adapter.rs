//! What has to be so before an interface of an RDMA adapter is lent.

use rlxc_network::{LinkAddress, LinkView};

use super::nics::parse_address;
use crate::context::blocking;
use crate::error::{Error, Result};
use crate::plan::nic::Nic;
use crate::unix_device::Host;
use crate::unix_device::infiniband::{self, Adapter};

/// The adapter of an interface; refuses what is none, or can't be lent, and an address that it can't have.
pub(super) async fn look(nic: &Nic, link: &LinkView) -> Result<Adapter> {
    let wrong = |what: String| Error::Invalid(format!("device `{}`: {what}", nic.device));
    let name = link.name.clone();
    let found = blocking(move || infiniband::find(&Host::default(), &name)).await;
    let adapter = found.map_err(wrong)?;
    if nic.has_own_hwaddr {
        check_address(link, &parse_address(nic)?).map_err(wrong)?;
    }
    Ok(adapter)
}

/// Of an address of `InfiniBand` only the GUID can be chosen, and of no other anything: `hwaddr` is 8 or 20 bytes.
fn check_address(link: &LinkView, wanted: &LinkAddress) -> Result<(), String> {
    let name = &link.name;
    let Some(own) = link.hwaddr.as_ref().filter(|own| own.is_ipoib()) else {
        return Err(format!(
            "`hwaddr={wanted}` is for interfaces of IP over InfiniBand: `{name}` is none"
        ));
    };
    if wanted
        .prefix()
        .is_some_and(|first| own.prefix() != Some(first))
    {
        return Err(format!(
            "`hwaddr={wanted}`: the first 12 bytes are not those of `{name}`, {own}; the last 8 alone will do"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rlxc_network::links::Multicast;

    const PORT: &str = "80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:0a:0b:0c";

    fn link(address: &str) -> LinkView {
        LinkView {
            index: 7,
            name: "ib0".to_owned(),
            kind: None,
            hwaddr: Some(address.parse().unwrap()),
            mtu: 2044,
            up: false,
            carrier: false,
            master: None,
            ours: false,
            multicast: Multicast::Plain,
        }
    }

    #[test]
    fn only_the_guid_can_be_chosen() {
        let check = |own: &str, wanted: &str| check_address(&link(own), &wanted.parse().unwrap());
        let guid = "00:02:c9:03:00:00:00:07";
        assert_eq!(check(PORT, guid), Ok(()));
        let whole = format!("{}:{guid}", &PORT[..35]);
        assert_eq!(check(PORT, &whole), Ok(()));
        let error = check(PORT, &whole.replacen("80", "81", 1)).unwrap_err();
        assert!(error.contains("`ib0`") && error.contains(PORT), "{error}");
        let error = check("00:16:3e:01:02:03", guid).unwrap_err();
        assert!(error.contains("`ib0` is none"), "{error}");
    }
}
