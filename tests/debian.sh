# For the scripts beside it: packages of a named Debian release, from the archive or mirror that the system's own
# apt uses, with its proxy and credentials, and apart from what is installed. $folder is where everything lies.

# apt with its own lists and cache, and nothing installed as far as it knows.
apt_options() {
  cat <<EOF
Dir::Etc::SourceList "$folder/apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State::Lists "$folder/apt/lists";
Dir::State::Status "$folder/apt/status";
Dir::Cache "$folder/apt/cache";
APT::Install-Recommends "false";
APT::Sandbox::User "";
Debug::NoLocking "true";
EOF
}

# The archives of the system's own apt, mirrors among them; apt reads .list and .sources files alike.
archives() {
  apt-get update --print-uris -o Debug::NoLocking=true | sed -n "s|^'\([^']*\)/dists/[^']*/InRelease'.*|\1|p" | awk '!seen[$0]++'
}

# Settings and empty lists, in $folder.
apt_of_our_own() {
  mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" && : >"$folder/apt/status" &&
    : >"$folder/apt/sources.list" && apt_options >"$folder/apt/apt.conf" && archives=$(archives)
}

# add SUITE: to our sources, from the first archive that has it, signed with Debian's key.
add() {
  local suite=$1 archive sources=$folder/apt/sources.list
  for archive in $archives; do
    cp "$sources" "$sources.before"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $suite main" >>"$sources"
    APT_CONFIG=$folder/apt/apt.conf apt-get -qq update -o APT::Update::Error-Mode=any && return
    cp "$sources.before" "$sources"
  done
  echo "no archive of this system's apt sources has Debian's $suite" >&2
  return 1
}
