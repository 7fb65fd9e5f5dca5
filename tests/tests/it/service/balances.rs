use alloy::primitives::U256;
use serde_json::{Value, json};

use crate::lab::{Lab, Plugin};
use crate::served::Served;

fn lab() -> (Lab, Served) {
    let lab = Lab::new(Plugin::BscRpc, 40);
    let served = Served::start(&lab.product);
    (lab, served)
}

/// The sum of an asset over some addresses, as the ledger has them.
fn sum(lab: &Lab, addresses: &[String], symbol: &str) -> String {
    let amount = |address: &String| -> U256 {
        let amount = lab.truth().amount_of(address, symbol).expect("it is there");
        amount.to_string().parse().expect("it is a number")
    };
    addresses.iter().map(amount).sum::<U256>().to_string()
}

#[test]
fn sums_of_a_set_are_exact_and_say_what_they_do_not_cover() {
    let (lab, served) = lab();
    let totals = || served.items("balances/totals?chain=bsc&set=list");
    let before = totals();
    assert_eq!(before.len(), lab.assets.len());
    for total in &before {
        assert_eq!(total["amount"], Value::Null, "nothing is known: {total}");
        assert_eq!(
            (&total["addresses"], &total["unknown"]),
            (&json!(40), &json!(40))
        );
    }
    let some = json!({ "chain": "bsc", "addresses": lab.addresses[..7] });
    let some = served.post("scans", &some).expect(202)["id"].clone();
    served.ended(some.as_str().unwrap());
    for total in totals() {
        let symbol = total["asset"].as_str().unwrap();
        assert_eq!(
            total["amount"],
            sum(&lab, &lab.addresses[..7], symbol),
            "{total}"
        );
        assert_eq!(
            (&total["known"], &total["unknown"]),
            (&json!(7), &json!(33)),
            "{total}"
        );
    }
    served.ended(&served.scan("bsc"));
    for total in totals() {
        let symbol = total["asset"].as_str().unwrap();
        assert_eq!(
            total["amount"],
            sum(&lab, &lab.addresses, symbol),
            "{total}"
        );
        assert_eq!(total["unknown"], 0, "{total}");
    }
    served
        .get("balances/totals?chain=bsc&set=nope")
        .problem(404, "unknown_set");
}

#[test]
fn a_list_that_cannot_be_read_is_no_empty_one() {
    let (lab, served) = lab();
    let list = lab.product.folder().join("list.csv");
    let kept = std::fs::read(&list).unwrap();
    std::fs::remove_file(&list).unwrap();
    let totals = || served.items("balances/totals");
    for total in totals() {
        assert_eq!(total["is_stale"], true, "{total}");
        for key in ["addresses", "unknown", "amount"] {
            assert_eq!(total[key], Value::Null, "{key}: {total}");
        }
    }
    // Whoever names it hears why; whoever does not still gets what there is.
    served
        .get("balances/totals?chain=bsc&set=list")
        .problem(422, "addresses_unreadable");
    assert!(served.items("addresses").is_empty());
    lab.product.write("list.csv", kept);
    for total in totals() {
        assert_eq!(total["is_stale"], false, "{total}");
        assert_eq!(
            (&total["addresses"], &total["unknown"]),
            (&json!(40), &json!(40))
        );
    }
}

#[test]
fn a_set_is_listed_as_its_file_is_now() {
    let (lab, served) = lab();
    let listed = || -> Vec<String> {
        let items = served.items("addresses?chain=bsc&set=list&limit=7");
        let address = |item: &Value| item["address"].as_str().unwrap().to_owned();
        items.iter().map(address).collect()
    };
    assert_eq!(listed(), lab.addresses);
    let fewer = lab.addresses[10..].join("\n");
    lab.product.write("list.csv", format!("address\n{fewer}\n"));
    assert_eq!(listed(), lab.addresses[10..]);
    served.ended(&served.scan("bsc"));
    let balances = served.items("balances?chain=bsc&set=list&asset=BNB");
    assert_eq!(balances.len(), 30);
    served.get("addresses?set=nope").problem(404, "unknown_set");
}

#[test]
fn every_change_is_kept_with_its_provider_and_height_as_json_and_csv() {
    let (lab, served) = lab();
    served.ended(&served.scan("bsc"));
    let before = lab.truth();
    lab.grow();
    let id = served.scan("bsc");
    served.ended(&id);
    let address = &lab.addresses[5];
    let path = format!("balances/history?chain=bsc&address={address}&asset=USDT");
    let changes = served.items(&format!("{path}&limit=1"));
    let held = |ledger: &scanhost_tests::upstream::Ledger| {
        json!(ledger.amount_of(address, "USDT").unwrap().to_string())
    };
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert_eq!(changes[0]["previous"], Value::Null);
    assert_eq!(changes[0]["amount"], held(&before));
    assert_eq!(changes[1]["previous"], held(&before));
    assert_eq!(changes[1]["amount"], held(&lab.truth()));
    assert_eq!(
        (&changes[1]["provider"], &changes[1]["scan"]),
        (&json!("first"), &json!(id))
    );
    assert!(changes[1]["height"].is_u64(), "{changes:?}");
    let answer = served.get("balances/history?chain=bsc&format=csv");
    assert_eq!(answer.headers["content-type"], "text/csv; charset=utf-8");
    let mut reader = csv::Reader::from_reader(answer.text.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2 * 40 * lab.assets.len());
    let column = |name: &str| headers.iter().position(|it| it == name).unwrap();
    let of_cell = rows.iter().filter(|row| {
        row[column("address")].eq_ignore_ascii_case(address) && row[column("asset")] == *"USDT"
    });
    let amounts: Vec<&str> = of_cell.map(|row| &row[column("amount")]).collect();
    assert_eq!(json!(amounts), json!([held(&before), held(&lab.truth())]));
    served
        .get("balances/history?format=xml")
        .problem(400, "invalid_query");
}
