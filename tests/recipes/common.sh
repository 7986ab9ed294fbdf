# Read before every recipe. A recipe fills $OUT; $WORK is scratch space that is removed afterwards.
set -euo pipefail
umask 022
export LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH=1700000000
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# The Debian mirror this machine's apt is configured with.
debian_mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' 'Created-By: Packages' |
        sort -u | head -n 1
}

# An apt of the recipe's own, with the one-line sources given, next to the machine's and not seen
# by it.
private_apt() {
    local apt=$WORK/apt
    mkdir -p "$apt"/{lists/partial,cache/archives/partial}
    printf '%s\n' "$@" > "$apt/sources.list"
    touch "$apt/status"
    cat > "$apt/apt.conf" <<CONF
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "-";
APT::Sandbox::User "root";
Acquire::Languages "none";
CONF
    export APT_CONFIG=$apt/apt.conf
    apt-get -q update
}
