# Completion of ros for bash. Printed by "ros completion bash".

_ros_tree() {
    case "$1" in
        "ros") verbs="status boot events config os install service console engine tls preload-images env dev poweroff reboot halt shutdown completion" flags="--version -v --help -h" values="" names="" ;;
        "ros status") verbs="" flags="--json --help -h" values="" names="" ;;
        "ros boot") verbs="" flags="--svg --json --help -h" values="--svg" names="" ;;
        "ros events") verbs="" flags="--json --help -h" values="" names="" ;;
        "ros config") verbs="get show diff export images set unset merge edit apply confirm rollback validate schema generate syslinux" flags="--help -h" values="" names="" ;;
        "ros config get") verbs="" flags="--json --help -h" values="" names="keys" ;;
        "ros config show") verbs="" flags="--layers --private -p --json --help -h" values="" names="keys" ;;
        "ros config diff") verbs="" flags="--input -i --json --help -h" values="--input -i" names="" ;;
        "ros config export") verbs="" flags="--output -o --private -p --full -f --help -h" values="--output -o" names="" ;;
        "ros config images") verbs="" flags="--input -i --json --help -h" values="--input -i" names="" ;;
        "ros config set") verbs="" flags="--dry-run -n --try --help -h" values="--try" names="keys" ;;
        "ros config unset") verbs="" flags="--dry-run -n --try --help -h" values="--try" names="keys" ;;
        "ros config merge") verbs="" flags="--input -i --dry-run -n --try --help -h" values="--input -i --try" names="" ;;
        "ros config edit") verbs="" flags="--input -i --try --help -h" values="--input -i --try" names="" ;;
        "ros config apply") verbs="" flags="--help -h" values="" names="" ;;
        "ros config confirm") verbs="" flags="--help -h" values="" names="" ;;
        "ros config rollback") verbs="" flags="--help -h" values="" names="" ;;
        "ros config validate") verbs="" flags="--input -i --json --help -h" values="--input -i" names="files" ;;
        "ros config schema") verbs="" flags="--help -h" values="" names="" ;;
        "ros config generate") verbs="" flags="--help -h" values="" names="" ;;
        "ros config syslinux") verbs="" flags="--help -h" values="" names="" ;;
        "ros os") verbs="version status list upgrade commit rollback verify pause resume" flags="--help -h" values="" names="" ;;
        "ros os version") verbs="" flags="--json --help -h" values="" names="" ;;
        "ros os status") verbs="" flags="--json --help -h" values="" names="" ;;
        "ros os list") verbs="" flags="--update -u --json --help -h" values="" names="" ;;
        "ros os upgrade") verbs="" flags="--image -i --stage -s --no-reboot --force -f --kexec -k --append --below-floor --retry --take-what-nobody-signed --upgrade-console --json --help -h" values="--image -i --append" names="" ;;
        "ros os commit") verbs="" flags="--json --help -h" values="" names="" ;;
        "ros os rollback") verbs="" flags="--no-reboot --force -f --json --help -h" values="" names="" ;;
        "ros os verify") verbs="" flags="--json --help -h" values="" names="" ;;
        "ros os pause") verbs="" flags="--help -h" values="" names="" ;;
        "ros os resume") verbs="" flags="--help -h" values="" names="" ;;
        "ros install") verbs="" flags="--device -d --cloud-config -c --install-type -t --append -a --statedir --force -f --no-reboot --json --help -h" values="--device -d --cloud-config -c --install-type -t --append -a --statedir" names="" ;;
        "ros service") verbs="ps list logs plan spec inspect stats exec up start stop restart kill down rm create enable disable delete update pull" flags="--help -h" values="" names="" ;;
        "ros service ps") verbs="" flags="--quiet -q --json --help -h" values="" names="services" ;;
        "ros service list") verbs="" flags="--all -a --update -u --json --help -h" values="" names="services" ;;
        "ros service logs") verbs="" flags="--follow -f --lines -n --timestamps -t --json --help -h" values="--lines -n" names="services" ;;
        "ros service plan") verbs="" flags="--json --help -h" values="" names="" ;;
        "ros service spec") verbs="" flags="--json --help -h" values="" names="services" ;;
        "ros service inspect") verbs="" flags="--help -h" values="" names="services" ;;
        "ros service stats") verbs="" flags="--no-stream --json --help -h" values="" names="services" ;;
        "ros service exec") verbs="" flags="--help -h" values="" names="services" ;;
        "ros service up") verbs="" flags="--no-recreate --force-recreate --no-build -d --foreground --no-wait --help -h" values="" names="services" ;;
        "ros service start") verbs="" flags="--foreground --no-wait --help -h" values="" names="services" ;;
        "ros service stop") verbs="" flags="--timeout -t --no-wait --help -h" values="--timeout -t" names="services" ;;
        "ros service restart") verbs="" flags="--timeout -t --no-wait --help -h" values="--timeout -t" names="services" ;;
        "ros service kill") verbs="" flags="--signal -s --help -h" values="--signal -s" names="services" ;;
        "ros service down") verbs="" flags="--timeout -t --help -h" values="--timeout -t" names="services" ;;
        "ros service rm") verbs="" flags="--force -f -v --help -h" values="" names="services" ;;
        "ros service create") verbs="" flags="--no-recreate --force-recreate --no-build -d --help -h" values="" names="services" ;;
        "ros service enable") verbs="" flags="--help -h" values="" names="available" ;;
        "ros service disable") verbs="" flags="--help -h" values="" names="enabled" ;;
        "ros service delete") verbs="" flags="--help -h" values="" names="kept" ;;
        "ros service update") verbs="" flags="--dry-run -n --help -h" values="" names="kept" ;;
        "ros service pull") verbs="" flags="--ignore-pull-failures --help -h" values="" names="services" ;;
        "ros console") verbs="list current switch enable reset" flags="--help -h" values="" names="" ;;
        "ros console list") verbs="" flags="--update -u --quiet -q --json --help -h" values="" names="" ;;
        "ros console current") verbs="" flags="--json --help -h" values="" names="" ;;
        "ros console switch") verbs="" flags="--force -f --no-pull --help -h" values="" names="consoles" ;;
        "ros console enable") verbs="" flags="--force -f --no-pull --help -h" values="" names="consoles" ;;
        "ros console reset") verbs="" flags="--force -f --help -h" values="" names="" ;;
        "ros engine") verbs="list current switch enable create rm" flags="--help -h" values="" names="" ;;
        "ros engine list") verbs="" flags="--update -u --quiet -q --json --help -h" values="" names="" ;;
        "ros engine current") verbs="" flags="--help -h" values="" names="" ;;
        "ros engine switch") verbs="" flags="--force -f --no-pull --help -h" values="" names="engines" ;;
        "ros engine enable") verbs="" flags="--no-pull --help -h" values="" names="engines" ;;
        "ros engine create") verbs="" flags="--network --fixed-ip --version -v --ssh-port --authorized-keys --help -h" values="--network --fixed-ip --version -v --ssh-port --authorized-keys" names="" ;;
        "ros engine rm") verbs="" flags="--force -f --timeout -t --help -h" values="--timeout -t" names="engines" ;;
        "ros tls") verbs="generate" flags="--help -h" values="" names="" ;;
        "ros tls generate") verbs="" flags="--server -s --hostname -H --dir -d --help -h" values="--hostname -H --dir -d" names="" ;;
        "ros preload-images") verbs="" flags="--help -h" values="" names="" ;;
        "ros env") verbs="" flags="--help -h" values="" names="" ;;
        "ros dev") verbs="" flags="--help -h" values="" names="" ;;
        "ros poweroff") verbs="" flags="--force -f --help -h" values="" names="" ;;
        "ros reboot") verbs="" flags="--force -f --help -h" values="" names="" ;;
        "ros halt") verbs="" flags="--force -f --help -h" values="" names="" ;;
        "ros shutdown") verbs="" flags="--poweroff -P -h --reboot -r --halt -H --force -f --help" values="" names="" ;;
        "ros completion") verbs="bash" flags="--help -h" values="" names="" ;;
        "ros completion bash") verbs="" flags="--help -h" values="" names="" ;;
        *) return 1 ;;
    esac
}

_ros_keys="bootcmd ca_certs ca_certs.remove_defaults ca_certs.trusted final_message groups growpart growpart.devices growpart.mode hostname locale manage_etc_hosts mounts ntp ntp.enabled ntp.pools ntp.servers power_state power_state.condition power_state.delay power_state.message power_state.mode power_state.timeout rancher rancher.autoformat rancher.autologin rancher.bootstrap rancher.bootstrap_docker rancher.cloud_init rancher.cloud_init.datasources rancher.cloud_init.imdsv1 rancher.cloud_init.timeout rancher.cloud_init_services rancher.console rancher.debug rancher.defaults rancher.defaults.docker rancher.defaults.docker.engine rancher.defaults.hostname rancher.defaults.network rancher.defaults.network.dhcp_timeout rancher.defaults.network.dns rancher.defaults.network.dns.nameservers rancher.defaults.network.dns.search rancher.defaults.system_docker_logs rancher.disable rancher.docker rancher.docker.args rancher.docker.bip rancher.docker.bridge rancher.docker.ca_cert rancher.docker.ca_key rancher.docker.config_file rancher.docker.containerd rancher.docker.debug rancher.docker.engine rancher.docker.environment rancher.docker.exec rancher.docker.exec_root rancher.docker.extra_args rancher.docker.graph rancher.docker.group rancher.docker.host rancher.docker.insecure_registry rancher.docker.live_restore rancher.docker.log_driver rancher.docker.log_opts rancher.docker.pid_file rancher.docker.registry_mirror rancher.docker.restart rancher.docker.selinux_enabled rancher.docker.server_cert rancher.docker.server_key rancher.docker.storage_context rancher.docker.storage_driver rancher.docker.tls rancher.docker.tls_args rancher.docker.userland_proxy rancher.docker.userns_enabled rancher.environment rancher.force_console_rebuild rancher.http_load_retries rancher.hypervisor_service rancher.install rancher.install.append rancher.install.device rancher.install.force rancher.install.no_reboot rancher.install.poweroff rancher.log rancher.modules rancher.network rancher.network.dhcp_timeout rancher.network.dns rancher.network.dns.nameservers rancher.network.dns.search rancher.network.http_proxy rancher.network.https_proxy rancher.network.interfaces rancher.network.interfaces. rancher.network.modem_networks rancher.network.no_proxy rancher.network.post_cmds rancher.network.pre_cmds rancher.network.wifi_networks rancher.no_sharedroot rancher.password rancher.preload_wait rancher.recovery rancher.registry_auths rancher.registry_auths. rancher.repositories rancher.repositories. rancher.resize_device rancher.restart_services rancher.rm_usr rancher.selinux rancher.services rancher.services_include rancher.shutdown_timeout rancher.ssh rancher.ssh.daemon rancher.ssh.keys rancher.ssh.listen_address rancher.ssh.port rancher.state rancher.state.autoformat rancher.state.boot_dev rancher.state.boot_fstype rancher.state.cryptsetup rancher.state.dev rancher.state.directory rancher.state.formatzero rancher.state.fstype rancher.state.lvm_scan rancher.state.mdadm_scan rancher.state.oem_dev rancher.state.oem_fstype rancher.state.required rancher.state.rngd rancher.state.script rancher.state.wait rancher.sysctl rancher.system_docker rancher.upgrade rancher.upgrade.commit_window rancher.upgrade.deadline rancher.upgrade.image rancher.upgrade.insecure_registry rancher.upgrade.interval rancher.upgrade.jitter rancher.upgrade.policy rancher.upgrade.rollback rancher.upgrade.trusted_keys rancher.upgrade.url rancher.upgrade.window runcmd ssh_authorized_keys ssh_import_id swap swap.filename swap.maxsize swap.size timezone users write_files"

# What "ros service list" has of the catalogs that a verb can be told.
_ros_catalog() {
    local state name _ from
    while read -r state name _ _ from; do
        case "$1 $state" in
            "available disabled"|"enabled enabled"|"kept enabled") echo "$name" ;;
            "kept disabled") [[ "$from" != - ]] && echo "$name" ;;
        esac
    done < <(ros service list --all 2>/dev/null)
}

_ros() {
    local verbs flags values names
    local at=ros word i cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}"
    _ros_tree "$at"
    for ((i = 1; i < COMP_CWORD; i++)); do
        word="${COMP_WORDS[i]}"
        [[ "$at $word" == "ros s" ]] && word=service
        [[ "$at $word" == "ros c" ]] && word=config
        _ros_tree "$at $word" && at="$at $word"
    done
    COMPREPLY=()
    if [[ "$cur" != -* && " $values " == *" $prev "* && "$prev" == -* ]]; then
        if [[ " --svg -i --input -o --output " == *" $prev "* ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        fi
        return
    fi
    if [[ "$cur" == -* ]]; then
        verbs="$flags"
    elif [[ "$names" == services ]]; then
        verbs="$(ros service ps -q 2>/dev/null)"
    elif [[ "$names" == engines ]]; then
        verbs="$(ros engine list -q 2>/dev/null)"
    elif [[ "$names" == consoles ]]; then
        verbs="$(ros console list -q 2>/dev/null)"
    elif [[ "$names" == available && "$cur" == */* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
    elif [[ "$names" == available || "$names" == enabled || "$names" == kept ]]; then
        verbs="$(_ros_catalog "$names")"
    elif [[ "$names" == keys ]]; then
        verbs="$_ros_keys"
    elif [[ "$names" == files ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$cur")
    [[ "${COMPREPLY[*]}" == *. ]] && compopt -o nospace 2>/dev/null
    return 0
}

complete -F _ros ros
