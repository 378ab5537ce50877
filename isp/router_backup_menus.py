"""What a backup of a router's configuration holds: menus, and of each what may be set there, no secrets among it.

After the command tree of RouterOS 7.21, with what only RouterOS 6 or the wireless packages have beside it; a router
leaves out what it does not know. In the order in which what is in one menu may refer to what is in those before it.
"""

from collections.abc import Iterator, Mapping

# Never asked for. A test holds what is left out of the command tree against this.
SECRETS = frozenset(
    {
        "auth-key",
        "eap-password",
        "ipsec-secret",
        "key",
        "mac-auth-password",
        "otp-secret",
        "passphrase",
        "password",
        "pin",
        "ppk-secret",
        "preshared-key",
        "private-key",
        "secret",
        "secrets",
        "security.eap-password",
        "security.passphrase",
        "tcp-md5-key",
    }
)
# Changes by itself.
PASSING = {"/system clock": frozenset({"date", "time"})}
# Has its values from other menus, which are there as well, or hundreds of properties that hardly anybody sets.
NESTED = ("interworking.", "steering.", "aaa.")

# One nameless item each.
SINGLE = frozenset(
    {
        "/system identity",
        "/system clock",
        "/system note",
        "/system ntp client",
        "/system ntp server",
        "/system watchdog",
        "/user aaa",
        "/interface bridge settings",
        "/interface l2tp-server server",
        "/interface sstp-server server",
        "/ip cloud",
        "/ip dns",
        "/ip firewall connection tracking",
        "/ip neighbor discovery-settings",
        "/ip proxy",
        "/ip settings",
        "/ip socks",
        "/ip ssh",
        "/ip traffic-flow",
        "/ip upnp",
        "/ipv6 settings",
        "/ppp aaa",
        "/radius incoming",
        "/snmp",
        "/tool bandwidth-server",
        "/tool e-mail",
        "/tool mac-server",
        "/tool mac-server mac-winbox",
        "/tool romon",
    }
)

# Their items are made by RouterOS, and found by what can not be set there or hardly ever is.
FOUND_BY: Mapping[str, str] = {
    "/interface ethernet": "default-name",
    "/interface lte": "default-name",
    "/ip service": "name",
    "/ip firewall service-port": "name",
    "/queue interface": "interface",
}

_TABLE = """
@match: action address-list address-list-timeout chain comment content disabled dscp dst-address dst-address-list
  dst-address-type dst-limit dst-port icmp-options in-bridge-port in-bridge-port-list in-interface in-interface-list
  ingress-priority ipsec-policy jump-target limit log log-prefix nth out-bridge-port out-bridge-port-list
  out-interface out-interface-list packet-mark packet-size per-connection-classifier port priority protocol random
  src-address src-address-list src-address-type src-mac-address src-port tcp-mss time tos
@match4: fragment hotspot ipv4-options psd ttl
@match6: connection-bytes connection-limit connection-mark connection-rate connection-state connection-type headers
  hop-limit routing-mark tcp-flags
/system identity: name
/system clock: time-zone-autodetect time-zone-name
/system note: note show-at-cli-login show-at-login
/system logging action: name comment cef-event-delimiter disk-file-count disk-file-name disk-lines-per-file
  disk-stop-on-full email-start-tls email-to memory-lines memory-stop-on-full remember remote remote-log-format
  remote-port remote-protocol src-address syslog-facility syslog-severity syslog-time-format target vrf
/system logging: action disabled prefix regex topics
/system ntp client: enabled mode servers vrf primary-ntp secondary-ntp
/system ntp client servers: address disabled comment iburst max-poll min-poll
/system ntp server: broadcast broadcast-addresses enabled local-clock-stratum manycast multicast use-local-clock vrf
/system scheduler: name disabled comment interval on-event policy start-date start-time
/system script: name comment dont-require-permissions owner policy source
/system watchdog: auto-send-supout automatic-supout ping-start-after-boot ping-timeout send-email-from send-email-to
  send-smtp-server watch-address watchdog-timer
/user group: name comment policy skin
/user: name address disabled comment group inactivity-policy inactivity-timeout
/user aaa: accounting default-group exclude-groups interim-update use-radius
/interface ethernet: name disabled comment advertise arp arp-timeout auto-negotiation cable-settings combo-mode
  disable-running-check fec-mode l2mtu loop-protect loop-protect-disable-time loop-protect-send-interval mac-address
  mdix-enable mtu orig-mac-address rx-flow-control sfp-ignore-rx-los sfp-rate-select sfp-shutdown-temperature speed
  tx-flow-control
/interface bridge settings: allow-fast-path use-ip-firewall use-ip-firewall-for-pppoe use-ip-firewall-for-vlan
/interface bridge: name disabled comment add-dhcp-option82 admin-mac ageing-time arp arp-timeout auto-mac
  dhcp-snooping ether-type fast-forward forward-delay forward-reserved-addresses frame-types igmp-snooping
  igmp-version ingress-filtering last-member-interval last-member-query-count max-hops max-learned-entries
  max-message-age membership-interval mld-version mtu multicast-querier multicast-router mvrp port-cost-mode priority
  protocol-mode pvid querier-interval query-interval query-response-interval region-name region-revision
  startup-query-count startup-query-interval transmit-hold-count vlan-filtering
/interface bridge port: interface disabled comment auto-isolate bpdu-guard bridge broadcast-flood edge fast-leave
  frame-types horizon hw ingress-filtering internal-path-cost learn multicast-router mvrp-applicant-state
  mvrp-registrar-state path-cost point-to-point priority pvid restricted-role restricted-tcn tag-stacking trusted
  unknown-multicast-flood unknown-unicast-flood
/interface bridge vlan: disabled comment bridge mvrp-forbidden tagged untagged vlan-ids
/interface bonding: name disabled comment arp arp-interval arp-ip-targets arp-timeout down-delay forced-mac-address
  lacp-mode lacp-rate lacp-system-id lacp-system-priority lacp-user-key link-monitoring mii-interval min-links mode
  mtu primary slaves transmit-hash-policy up-delay
/interface vlan: name interface disabled comment arp arp-timeout loop-protect loop-protect-disable-time
  loop-protect-send-interval mtu mvrp use-service-tag vlan-id
/interface vrrp: name interface disabled comment arp arp-timeout authentication connection-tracking-mode
  connection-tracking-port group-authority group-master interval on-backup on-fail on-master preemption-mode priority
  remote-address sync-connection-tracking v3-protocol version vrid
/interface vxlan: name interface disabled comment allow-fast-path arp arp-timeout bridge bridge-pvid checksum
  dont-fragment group hw learning local-address loop-protect loop-protect-disable-time loop-protect-send-interval
  mac-address max-fdb-size mtu port rem-csum ttl vni vtep-vrf vteps-ip-version
/interface eoip: name disabled comment allow-fast-path arp arp-timeout clamp-tcp-mss dont-fragment dscp keepalive
  local-address loop-protect loop-protect-disable-time loop-protect-send-interval mac-address mtu remote-address
  tunnel-id
/interface gre: name disabled comment allow-fast-path clamp-tcp-mss dont-fragment dscp keepalive local-address mtu
  remote-address
/interface ipip: name disabled comment allow-fast-path clamp-tcp-mss dont-fragment dscp keepalive local-address mtu
  remote-address
/interface wireguard: name disabled comment listen-port mtu vrf
/interface wireguard peers: name interface disabled comment allowed-address client-address client-allowed-address
  client-dns client-endpoint client-keepalive client-listen-port endpoint-address endpoint-port persistent-keepalive
  public-key responder
/interface l2tp-client: name disabled comment add-default-route allow allow-fast-path connect-to
  default-route-distance dial-on-demand keepalive-timeout l2tp-proto-version l2tpv3-circuit-id l2tpv3-cookie-length
  l2tpv3-digest-hash max-mru max-mtu mrru profile random-source-port src-address use-ipsec use-peer-dns user
/interface l2tp-server server: accept-proto-version accept-pseudowire-type allow-fast-path authentication
  caller-id-type default-profile enabled keepalive-timeout l2tpv3-circuit-id l2tpv3-cookie-length l2tpv3-digest-hash
  l2tpv3-ether-interface-list max-mru max-mtu max-sessions mrru one-session-per-host use-ipsec
/interface sstp-client: name disabled comment add-default-route add-sni authentication certificate ciphers connect-to
  default-route-distance dial-on-demand http-proxy keepalive-timeout max-mru max-mtu mrru pfs port profile proxy-port
  tls-version user verify-server-address-from-certificate verify-server-certificate
/interface sstp-server server: authentication certificate ciphers default-profile enabled keepalive-timeout max-mru
  max-mtu mrru pfs port tls-version verify-client-certificate
/interface ovpn-client: name disabled comment add-default-route auth certificate cipher connect-to disconnect-notify
  mac-address max-mtu mode port profile protocol route-nopull tls-version use-peer-dns user verify-server-certificate
/interface pptp-client: name disabled comment add-default-route allow connect-to default-route-distance dial-on-demand
  keepalive-timeout max-mru max-mtu mrru profile use-peer-dns user
/interface pppoe-client: name interface disabled comment ac-name add-default-route allow default-route-distance
  dial-on-demand host-uniq keepalive-timeout max-mru max-mtu mrru profile service-name use-peer-dns user
/interface pppoe-server server: interface disabled comment accept-empty-service accept-untagged authentication
  default-profile keepalive-timeout max-mru max-mtu max-sessions mrru one-session-per-host pado-delay
  pppoe-over-vlan-range service-name
/interface lte: name disabled comment allow-roaming apn-profiles band modem-init mtu network-mode nr-band operator
  sms-protocol sms-read
/interface lte apn: name comment add-default-route apn authentication default-route-distance ip-type ipv6-interface
  passthrough-interface passthrough-mac passthrough-subnet-size use-network-apn use-peer-dns user
/interface wifi channel: name disabled comment band deprioritize-unii-3-4 frequency reselect-interval reselect-time
  secondary-frequency skip-dfs-channels width
/interface wifi datapath: name disabled comment bridge bridge-cost bridge-horizon client-isolation interface-list
  traffic-processing vlan-id
/interface wifi security: name disabled comment authentication-types beacon-protection connect-group connect-priority
  dh-groups disable-pmkid eap-accounting eap-anonymous-identity eap-certificate-mode eap-methods eap-tls-certificate
  eap-username encryption ft ft-mobility-domain ft-nas-identifier ft-over-ds ft-preserve-vlanid ft-r0-key-lifetime
  ft-reassociation-deadline group-encryption group-key-update management-encryption management-protection
  multi-passphrase-group owe-transition-interface sae-anti-clogging-threshold sae-max-failure-rate sae-pwe wps
/interface wifi configuration: name disabled comment aaa antenna-gain beacon-interval chains channel channel.band
  channel.deprioritize-unii-3-4 channel.frequency channel.reselect-interval channel.reselect-time
  channel.secondary-frequency channel.skip-dfs-channels channel.width country datapath datapath.bridge
  datapath.bridge-cost datapath.bridge-horizon datapath.client-isolation datapath.interface-list
  datapath.traffic-processing datapath.vlan-id distance dtim-period hide-ssid hw-protection-mode installation
  interworking manager max-clients mode multicast-enhance qos-classifier security security.authentication-types
  security.beacon-protection security.connect-group security.connect-priority security.dh-groups
  security.disable-pmkid security.eap-accounting security.eap-anonymous-identity security.eap-certificate-mode
  security.eap-methods security.eap-tls-certificate security.eap-username security.encryption security.ft
  security.ft-mobility-domain security.ft-nas-identifier security.ft-over-ds security.ft-preserve-vlanid
  security.ft-r0-key-lifetime security.ft-reassociation-deadline security.group-encryption security.group-key-update
  security.management-encryption security.management-protection security.multi-passphrase-group
  security.owe-transition-interface security.sae-anti-clogging-threshold security.sae-max-failure-rate
  security.sae-pwe security.wps ssid station-roaming steering tx-chains tx-power
/interface wifi: name disabled comment aaa arp arp-timeout channel channel.band channel.deprioritize-unii-3-4
  channel.frequency channel.reselect-interval channel.reselect-time channel.secondary-frequency
  channel.skip-dfs-channels channel.width configuration configuration.antenna-gain configuration.beacon-interval
  configuration.chains configuration.country configuration.distance configuration.dtim-period configuration.hide-ssid
  configuration.hw-protection-mode configuration.installation configuration.manager configuration.max-clients
  configuration.mode configuration.multicast-enhance configuration.qos-classifier configuration.ssid
  configuration.station-roaming configuration.tx-chains configuration.tx-power datapath datapath.bridge
  datapath.bridge-cost datapath.bridge-horizon datapath.client-isolation datapath.interface-list
  datapath.traffic-processing datapath.vlan-id disable-running-check interworking l2mtu mac-address master-interface
  mtu radio-mac security security.authentication-types security.beacon-protection security.connect-group
  security.connect-priority security.dh-groups security.disable-pmkid security.eap-accounting
  security.eap-anonymous-identity security.eap-certificate-mode security.eap-methods security.eap-tls-certificate
  security.eap-username security.encryption security.ft security.ft-mobility-domain security.ft-nas-identifier
  security.ft-over-ds security.ft-preserve-vlanid security.ft-r0-key-lifetime security.ft-reassociation-deadline
  security.group-encryption security.group-key-update security.management-encryption security.management-protection
  security.multi-passphrase-group security.owe-transition-interface security.sae-anti-clogging-threshold
  security.sae-max-failure-rate security.sae-pwe security.wps steering
/interface wifi access-list: action interface disabled comment allow-signal-out-of-range client-isolation days
  mac-address mac-address-mask multi-passphrase-group radius-accounting signal-range ssid-regexp time vlan-id
/interface wireless security-profiles: name mode authentication-types unicast-ciphers group-ciphers
  management-protection radius-mac-authentication radius-mac-format
/interface wireless: name ssid mode band frequency channel-width country installation master-interface
  security-profile default-authentication default-forwarding hide-ssid wps-mode tx-power-mode tx-power disabled
  comment
/interface wireless access-list: mac-address interface authentication forwarding ap-tx-limit client-tx-limit vlan-mode
  vlan-id disabled comment
/interface list: name comment exclude include
/interface list member: list interface disabled comment
/ip address: interface address disabled comment broadcast netmask network
/ip arp: interface address disabled comment mac-address published
/ip cloud: ddns-enabled ddns-update-interval update-time
/ip dhcp-client: interface disabled comment add-default-route allow-reconfigure check-gateway default-route-distance
  default-route-tables dhcp-options dscp script use-broadcast use-peer-dns use-peer-ntp vlan-priority
/ip dhcp-relay: name interface disabled add-relay-info delay-threshold dhcp-server dhcp-server-vrf local-address
  local-address-as-src-ip relay-info-remote-id
/ip dhcp-server option: name comment code force value
/ip dhcp-server network: address comment boot-file-name caps-manager dhcp-option dhcp-option-set dns-none dns-server
  domain gateway netmask next-server ntp-none ntp-server wins-server
/ip dhcp-server: name interface disabled comment add-arp address-lists address-pool allow-dual-stack-queue
  always-broadcast authoritative bootp-lease-time bootp-support client-mac-limit conflict-detection delay-threshold
  dhcp-option-set dynamic-lease-identifiers insert-queue-before lease-script lease-time parent-queue relay
  server-address support-broadband-tr101 use-framed-as-classless use-radius use-reconfigure
/ip dhcp-server lease: address disabled comment address-lists agent-circuit-id agent-remote-id allow-dual-stack-queue
  always-broadcast block-access client-id dhcp-option dhcp-option-set insert-queue-before lease-time mac-address
  parent-queue queue-type rate-limit routes server use-src-mac
/ip dns: address-list-extra-time allow-remote-requests cache-max-ttl cache-size doh-max-concurrent-queries
  doh-max-server-connections doh-timeout max-concurrent-queries max-concurrent-tcp-sessions max-udp-packet-size
  mdns-repeat-ifaces query-server-timeout query-total-timeout servers use-doh-server verify-doh-cert vrf
/ip dns static: name address disabled comment address-list cname forward-to match-subdomain mx-exchange mx-preference
  ns regexp srv-port srv-priority srv-target srv-weight text ttl type
/ip firewall address-list: list address disabled comment dynamic timeout
/ip firewall connection tracking: enabled generic-timeout icmp-timeout liberal-tcp-tracking loose-tcp-tracking
  tcp-close-timeout tcp-close-wait-timeout tcp-established-timeout tcp-fin-wait-timeout tcp-last-ack-timeout
  tcp-max-retrans-timeout tcp-syn-received-timeout tcp-syn-sent-timeout tcp-time-wait-timeout tcp-unacked-timeout
  udp-stream-timeout udp-timeout
/ip firewall filter: @match @match4 connection-bytes connection-limit connection-mark connection-nat-state
  connection-rate connection-state connection-type layer7-protocol p2p realm reject-with routing-mark tcp-flags
  tls-host
/ip firewall layer7-protocol: name comment regexp
/ip firewall mangle: @match @match4 connection-bytes connection-limit connection-mark connection-nat-state
  connection-rate connection-state connection-type layer7-protocol new-connection-mark new-dscp new-mss
  new-packet-mark new-priority new-routing-mark new-ttl p2p passthrough realm route-dst routing-mark sniff-id
  sniff-target sniff-target-port tcp-flags tls-host
/ip firewall nat: @match @match4 connection-bytes connection-limit connection-mark connection-rate connection-type
  layer7-protocol randomise-ports realm routing-mark same-not-by-dst socks5-port socks5-server socksify-service
  to-addresses to-ports
/ip firewall raw: @match @match4 tcp-flags tls-host
/ip firewall service-port: disabled ports sip-direct-media sip-timeout
/ip hotspot profile: name dns-name hotspot-address html-directory html-directory-override http-cookie-lifetime
  http-proxy install-hotspot-queue login-by mac-auth-mode nas-port-type radius-accounting radius-default-domain
  radius-interim-update radius-location-id radius-location-name radius-mac-format rate-limit smtp-server
  split-user-domain ssl-certificate trial-uptime-limit trial-uptime-reset trial-user-profile use-radius
/ip hotspot: name interface disabled address-pool addresses-per-mac idle-timeout keepalive-timeout login-timeout
  profile
/ip hotspot ip-binding: address disabled comment mac-address server to-address type
/ip hotspot user profile: name add-mac-cookie address-list address-pool advertise advertise-interval advertise-timeout
  advertise-url idle-timeout incoming-filter incoming-packet-mark insert-queue-before keepalive-timeout
  mac-cookie-timeout on-login on-logout open-status-page outgoing-filter outgoing-packet-mark parent-queue queue-type
  rate-limit session-timeout shared-users status-autorefresh transparent-proxy
/ip hotspot user: name address disabled comment email limit-bytes-in limit-bytes-out limit-bytes-total limit-uptime
  mac-address profile routes server
/ip hotspot walled-garden: action disabled comment dst-host dst-port method path server src-address
/ip hotspot walled-garden ip: action disabled comment dst-address dst-address-list dst-host dst-port protocol server
  src-address src-address-list
/ip ipsec profile: name dh-group dpd-interval dpd-maximum-failures enc-algorithm hash-algorithm lifebytes lifetime
  nat-traversal ppk prf-algorithm proposal-check
/ip ipsec proposal: name disabled comment auth-algorithms enc-algorithms lifetime pfs-group
/ip ipsec peer: name address disabled comment exchange-mode local-address passive port profile send-initial-contact
/ip ipsec identity: disabled comment auth-method certificate eap-methods generate-policy match-by mode-config my-id
  notrack-chain peer policy-template-group remote-certificate remote-id remote-key username
/ip ipsec policy: action disabled comment dst-address dst-port group ipsec-protocols level peer proposal protocol
  sa-dst-address sa-src-address src-address src-port template tunnel
/ip neighbor discovery-settings: discover-interface-list discover-interval lldp-mac-phy-config lldp-max-frame-size
  lldp-med-net-policy-vlan lldp-vlan-info mode protocol
/ip pool: name comment next-pool ranges
/ip proxy: always-from-cache anonymous cache-administrator cache-hit-dscp cache-on-disk cache-path enabled
  max-cache-object-size max-cache-size max-client-connections max-fresh-time max-server-connections parent-proxy
  parent-proxy-port port serialize-connections src-address
/ip route: disabled comment blackhole check-gateway distance dst-address gateway pref-src routing-table scope
  target-scope vrf-interface
/ip service: address disabled certificate max-sessions port tls-version vrf
/ip settings: accept-redirects accept-source-route allow-fast-path arp-timeout
  icmp-errors-use-inbound-interface-address icmp-rate-limit icmp-rate-mask ip-forward ipv4-multipath-hash-policy
  max-neighbor-entries rp-filter secure-redirects send-redirects tcp-syncookies tcp-timestamps
/ip socks: auth-method connection-idle-timeout enabled max-connections port version vrf
/ip ssh: ciphers forwarding-enabled host-key-size host-key-type password-authentication
  publickey-authentication-options strong-crypto
/ip traffic-flow: active-flow-timeout cache-entries enabled inactive-flow-timeout interfaces packet-sampling
  sampling-interval sampling-space
/ip upnp: allow-disable-external-interface enabled show-dummy-rule
/ip vrf: name disabled comment interfaces
/ipv6 address: interface address disabled comment advertise auto-link-local eui-64 from-pool no-dad
/ipv6 dhcp-client: interface disabled comment accept-prefix-without-address add-default-route allow-reconfigure
  check-gateway custom-duid custom-iana-id custom-iapd-id default-route-distance default-route-tables dhcp-options
  pool-name pool-prefix-length prefix-address-lists prefix-hint rapid-commit request script use-interface-duid
  use-peer-dns validate-server-duid
/ipv6 dhcp-server: name interface disabled comment address-lists address-pool allow-dual-stack-queue binding-script
  dhcp-option ignore-ia-na-bindings insert-queue-before lease-time parent-queue preference prefix-pool rapid-commit
  route-distance use-radius use-reconfigure
/ipv6 firewall address-list: list address disabled comment dynamic timeout
/ipv6 firewall filter: @match @match6 connection-nat-state reject-with tls-host
/ipv6 firewall mangle: @match @match6 connection-nat-state dst-prefix new-connection-mark new-dscp new-hop-limit
  new-mss new-packet-mark new-priority new-routing-mark passthrough sniff-id sniff-target sniff-target-port src-prefix
  tls-host
/ipv6 firewall nat: @match @match6 to-address to-ports
/ipv6 nd: interface disabled comment advertise-dns advertise-mac-address dns hop-limit managed-address-configuration
  mtu other-configuration pref64 ra-delay ra-interval ra-lifetime ra-preference reachable-time retransmit-interval
/ipv6 nd prefix: interface disabled comment 6to4-interface autonomous on-link preferred-lifetime prefix valid-lifetime
/ipv6 pool: name comment prefix prefix-length
/ipv6 route: disabled comment blackhole check-gateway distance dst-address gateway pref-src routing-table scope
  target-scope vrf-interface
/ipv6 settings: accept-redirects accept-router-advertisements accept-router-advertisements-on allow-fast-path
  disable-ipv6 disable-link-local-address forward max-neighbor-entries min-neighbor-entries multipath-hash-policy
  soft-max-neighbor-entries stale-neighbor-detect-interval stale-neighbor-timeout
/ppp aaa: accounting enable-ipv6-accounting interim-update use-circuit-id-in-nas-port-id use-radius
/ppp profile: name comment address-list bridge bridge-horizon bridge-learning bridge-path-cost bridge-port-priority
  bridge-port-trusted bridge-port-vid change-tcp-mss dhcpv6-lease-time dhcpv6-pd-pool dhcpv6-use-radius dns-server
  idle-timeout incoming-filter insert-queue-before interface-list local-address on-down on-up only-one outgoing-filter
  parent-queue queue-type rate-limit remote-address remote-ipv6-prefix-pool remote-ipv6-prefix-reuse session-timeout
  use-compression use-encryption use-ipv6 use-mpls use-upnp wins-server
/ppp secret: name disabled comment caller-id ipv6-routes limit-bytes-in limit-bytes-out local-address profile
  remote-address remote-ipv6-prefix routes service
/queue interface: queue
/queue type: name bfifo-limit cake-ack-filter cake-atm cake-autorate-ingress cake-bandwidth cake-diffserv
  cake-flowmode cake-memlimit cake-mpu cake-nat cake-overhead cake-overhead-scheme cake-rtt cake-rtt-scheme cake-wash
  codel-ce-threshold codel-ecn codel-interval codel-limit codel-target fq-codel-ce-threshold fq-codel-ecn
  fq-codel-flows fq-codel-interval fq-codel-limit fq-codel-memlimit fq-codel-quantum fq-codel-target kind
  mq-pfifo-limit pcq-burst-rate pcq-burst-threshold pcq-burst-time pcq-classifier pcq-dst-address-mask
  pcq-dst-address6-mask pcq-limit pcq-rate pcq-src-address-mask pcq-src-address6-mask pcq-total-limit pfifo-limit
  red-avg-packet red-burst red-limit red-max-threshold red-min-threshold sfq-allot sfq-perturb
/queue tree: name disabled comment bucket-size burst-limit burst-threshold burst-time limit-at max-limit packet-mark
  parent priority queue
/queue simple: name disabled comment bucket-size burst-limit burst-threshold burst-time dst limit-at max-limit
  packet-marks parent priority queue target time total-bucket-size total-burst-limit total-burst-threshold
  total-burst-time total-limit-at total-max-limit total-priority total-queue
/radius: address disabled comment accounting-backup accounting-port authentication-port called-id certificate domain
  protocol radsec-timeout realm require-message-auth service src-address timeout
/radius incoming: accept port vrf
/routing table: name disabled comment fib
/routing rule: action interface disabled comment dst-address min-prefix routing-mark src-address table
/routing filter rule: chain disabled comment rule
/routing bgp template: name disabled comment add-path-out afi as cisco-vpls-nlri-len-fmt hold-time
  input.accept-communities input.accept-ext-communities input.accept-large-communities input.accept-nlri
  input.affinity input.allow-as input.attr-error-handling input.filter input.filter-communities
  input.filter-ext-communities input.filter-large-communities input.filter-nlri input.filter-unknown
  input.limit-process-routes-ipv4 input.limit-process-routes-ipv6 keepalive-time multihop nexthop-choice
  output.affinity output.as-override output.default-originate output.default-prepend output.filter-chain
  output.filter-select output.keep-sent-attributes output.network output.network-blackhole
  output.no-client-to-client-reflection output.no-early-cut output.redistribute output.remove-private-as routing-table
  save-to templates use-bfd vrf
/routing bgp connection: name disabled comment add-path-out afi as cisco-vpls-nlri-len-fmt connect hold-time
  input.accept-communities input.accept-ext-communities input.accept-large-communities input.accept-nlri
  input.affinity input.allow-as input.attr-error-handling input.filter input.filter-communities
  input.filter-ext-communities input.filter-large-communities input.filter-nlri input.filter-unknown
  input.limit-process-routes-ipv4 input.limit-process-routes-ipv6 instance keepalive-time listen local.address
  local.port local.role local.ttl multihop nexthop-choice output.affinity output.as-override output.default-originate
  output.default-prepend output.filter-chain output.filter-select output.keep-sent-attributes output.network
  output.network-blackhole output.no-client-to-client-reflection output.no-early-cut output.redistribute
  output.remove-private-as remote.address remote.allowed-as remote.as remote.port remote.ttl routing-table save-to
  templates use-bfd vrf
/routing ospf instance: name disabled comment domain-id domain-tag in-filter-chain mpls-te-address mpls-te-area
  originate-default out-filter-chain out-filter-select redistribute router-id routing-table use-dn version vrf
/routing ospf area: name disabled comment area-id default-cost instance no-summaries nssa-translator type
/routing ospf network: network area disabled comment
/routing ospf interface-template: disabled comment area auth auth-id cost dead-interval hello-interval instance-id
  interfaces networks passive prefix-list priority retransmit-interval transmit-delay type use-bfd vlink-neighbor-id
  vlink-transit-area
/routing ospf static-neighbor: address disabled comment area instance-id poll-interval
/snmp: contact enabled engine-id-suffix location src-address trap-community trap-generators trap-interfaces
  trap-target trap-version vrf
/tool bandwidth-server: allocate-udp-ports-from allowed-addresses4 allowed-addresses6 authenticate enabled
  max-sessions
/tool e-mail: certificate-verification from port server tls user vrf
/tool graphing interface: interface disabled comment allow-address store-on-disk
/tool graphing queue: disabled comment allow-address allow-target simple-queue store-on-disk
/tool graphing resource: disabled comment allow-address store-on-disk
/tool mac-server: allowed-interface-list
/tool mac-server mac-winbox: allowed-interface-list
/tool netwatch: name disabled comment accept-icmp-time-exceeded certificate check-certificate dns-server down-script
  early-failure-detection early-success-detection host http-codes ignore-initial-down ignore-initial-up interval
  packet-count packet-interval packet-size port record-type src-address start-delay startup-delay test-script thr-avg
  thr-http-time thr-jitter thr-loss-count thr-loss-percent thr-max thr-stdev thr-tcp-conn-time timeout ttl type
  up-script
/tool romon: enabled id
"""


def _parsed(table: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """`menu: properties`, further lines indented; `@name` stands for the properties of that line."""
    groups: dict[str, tuple[str, ...]] = {}
    for entry in table.replace("\n  ", " ").strip().splitlines():
        head, _, rest = entry.partition(": ")
        names = tuple(name for word in rest.split() for name in groups.get(word, (word,)))
        groups[head] = names
        if head.startswith("/"):
            yield head, names


MENUS: Mapping[str, tuple[str, ...]] = dict(_parsed(_TABLE))
