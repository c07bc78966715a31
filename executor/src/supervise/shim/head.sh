#!/bin/sh
# The supervisor that runs beside a job on a machine or in a guest that has no `executor` of its own. What its
# verbs, files and frames are: protocol.md, beside the parts that this is put together from (shim.rs).

# What a job sees of its host's environment, with what it asks to keep.
NAMES=PATH,HOME,USER,LOGNAME,SHELL,LANG,LC_ALL,LC_CTYPE,LC_COLLATE,LC_MESSAGES,LC_NUMERIC,LC_TIME,TZ

# Appends to PATH where package managers put things that a login would have found.
well_known() {
    for l_dir in /usr/local/bin /opt/homebrew/bin /run/current-system/sw/bin \
        /nix/var/nix/profiles/default/bin "${HOME:-/nonexistent}/.nix-profile/bin"; do
        case :$PATH: in
        *:"$l_dir":*) ;;
        *) [ ! -d "$l_dir" ] || PATH=$PATH:$l_dir ;;
        esac
    done
}
