# Interactive bash.
[ -n "$PS1" ] || return
PS1='\u@\h:\w\$ '
shopt -s checkwinsize
HISTCONTROL=ignoreboth
alias ls='ls --color=auto' grep='grep --color=auto' ll='ls -l'
[ ! -r /usr/share/bash-completion/completions/ros ] || . /usr/share/bash-completion/completions/ros
