# What people type. Every recipe is one command that works without just as well.

# Run every check that the gate runs
check:
    scripts/check

# Run the tests
test *args:
    cargo nextest run --workspace {{args}}

# Format with grouped imports
fmt:
    cargo xfmt

# Review changed snapshots, golden plans among them
review:
    cargo insta review

# Write the generated files anew: JSON Schemas
generate:
    UPDATE_SCHEMAS=1 cargo nextest run --workspace schema

# Draw the plan of this branch
graph:
    cargo run --quiet -p planner -- plan --format dot | dot -Tsvg > target/plan.svg

# Look for licences, duplicate versions and foreign sources
deny:
    cargo deny check bans licenses sources
