# The parts of the programs as CycloneDX 1.5, from `cargo metadata`: what is linked into them, nothing that only tests need.
# No time and no random number: the same Cargo.lock gives the same bytes.
def purl: "pkg:cargo/\(.name)@\(.version)";
($lock | split("[[package]]")[1:] | map(
    (capture("name = \"(?<name>[^\"]+)\"\nversion = \"(?<version>[^\"]+)\"")) as $id
    | { key: "\($id.name) \($id.version)", value: ((capture("checksum = \"(?<sum>[0-9a-f]+)\"") | .sum) // null) }
) | from_entries) as $sums
| . as $all
| (.packages | map({ key: .id, value: . }) | from_entries) as $packages
| (.resolve.nodes | map({ key: .id, value: [.deps[] | select(any(.dep_kinds[]; .kind != "dev")) | .pkg] }) | from_entries) as $deps
| [.packages[] | select(.name == "planner" or .name == "executor") | .id] as $programs
| ({ seen: $programs, next: $programs }
    | until(.next == []; .seen as $seen
        | ([.next[] as $id | $deps[$id][]] | unique | map(select(. as $id | $seen | index($id) | not))) as $new
        | { seen: ($seen + $new), next: $new })
    | .seen | sort) as $linked
| {
    bomFormat: "CycloneDX", specVersion: "1.5", version: 1,
    metadata: { component: { type: "application", "bom-ref": "forge-lanes", name: "forge-lanes", version: $version } },
    components: [$linked[] as $id | $packages[$id] | {
        type: "library", "bom-ref": purl, name, version, purl: purl,
        licenses: (if .license then [{ expression: (.license | gsub(" */ *"; " OR ")) }] else [] end),
        hashes: (($sums["\(.name) \(.version)"]) as $sum | if $sum then [{ alg: "SHA-256", content: $sum }] else [] end)
    }] | sort_by(."bom-ref"),
    dependencies: ([{ ref: "forge-lanes", dependsOn: [$programs[] | $packages[.] | purl] | sort }]
        + [$linked[] as $id | { ref: ($packages[$id] | purl), dependsOn: [$deps[$id][] | select(. as $one | $linked | index($one)) | $packages[.] | purl] | unique }]
        | sort_by(.ref))
  }
