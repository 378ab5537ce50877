# Prints the apt entry (deb822) of SUITE-backports, derived from the entry that serves SUITE's component main.
#   awk -v suite=bookworm -f backports.awk FILE.list FILE.sources …
# URIs, Signed-By (a path or an embedded key) and the other options are the machine's own. Exit status 1: no such entry.

function finish_stanza(    i, name, value, types, suites, enabled, component_main, suite_ours, body) {
    if (n_lines > 0 && !found) {
        enabled = 1
        body = ""
        for (i = 1; i <= n_lines; i++) {
            if (lines[i] !~ /^[ \t]/) {
                name = tolower(lines[i]); sub(/[ \t]*:.*/, "", name)
                value = " " lines[i] " "; sub(/^[^:]*:/, " ", value); gsub(/[ \t]+/, " ", value)
            } else {
                value = " " lines[i] " "; gsub(/[ \t]+/, " ", value)
            }
            if (name == "types") types = types value
            else if (name == "suites") suites = suites value
            else if (name == "components") component_main = component_main || value ~ / main /
            else if (name == "enabled") enabled = value !~ / (no|false|0|off|without|disable) /
            else body = body lines[i] "\n"
        }
        suite_ours = index(suites, " " suite " ") || suites ~ / (stable|oldstable) /
        if (enabled && component_main && suite_ours && types ~ / deb /) {
            print_entry(body)
        }
    }
    n_lines = 0
}

function print_entry(body) {
    printf "# Written by Kibali: FreeRADIUS 3.2.5 or newer comes from here.\nTypes: deb\n"
    printf "Suites: %s-backports\nComponents: main\n%s", suite, body
    found = 1
}

# deb [arch=amd64 signed-by=/path/key.gpg] URI SUITE main contrib
function one_line(line,    options, fields, count, i, body, pair, name, has_main) {
    if (line !~ /^[ \t]*deb[ \t]/) return
    sub(/^[ \t]*deb[ \t]+/, "", line)
    sub(/[ \t]*#.*/, "", line)
    if (match(line, /^\[[^]]*\][ \t]*/)) {
        options = substr(line, 1, RLENGTH)
        line = substr(line, RLENGTH + 1)
        gsub(/[][]/, " ", options)
    }
    count = split(line, fields, /[ \t]+/)
    if (fields[1] ~ /^cdrom:/ || (fields[2] != suite && fields[2] !~ /^(stable|oldstable)$/)) return
    for (i = 3; i <= count; i++) if (fields[i] == "main") has_main = 1
    if (!has_main) return
    body = "URIs: " fields[1] "\n"
    count = split(options, fields, /[ \t]+/)
    for (i = 1; i <= count; i++) {
        if (!match(fields[i], /[+-]?=/)) continue
        name = tolower(substr(fields[i], 1, RSTART - 1))
        pair = substr(fields[i], RSTART + RLENGTH)
        gsub(/,/, " ", pair)
        if (name == "arch") name = "Architectures"
        else if (name == "lang") name = "Languages"
        else if (name == "target") name = "Targets"
        else if (name == "signed-by") name = "Signed-By"
        body = body name ": " pair "\n"
    }
    print_entry(body)
}

FNR == 1 { finish_stanza() }
found { next }
FILENAME ~ /\.list$/ { one_line($0); next }
/^#/ { next }
/^[ \t]*$/ { finish_stanza(); next }
{ lines[++n_lines] = $0 }
END { finish_stanza(); exit !found }
