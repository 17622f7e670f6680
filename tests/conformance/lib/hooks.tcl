# Sourced into a copy of the suite's tests/test_helper.tcl. It changes no test;
# it makes the harness (a) write one record per event into $HK_RESULTS and
# (b) go on after errors that would end the whole unit, so that one failure
# costs one test.
#
# Record: status TAB test name TAB milliseconds TAB detail. Status is one of
# testing, ok, err, skip, ignore, exception, note, done, server-spawned,
# server-killed, server-killing (the last three have a process id as name).

set ::hk_last_test "start of unit"

proc hk_clean {text} { string map [list "\t" " " "\r" "" "\n" "\\n"] $text }

proc hk_record {status name {ms 0} {detail ""}} {
    set file [open $::env(HK_RESULTS) a]
    fconfigure $file -encoding binary -translation binary
    puts $file [join [list $status [hk_clean $name] $ms \
        [string range [hk_clean $detail] 0 3000]] "\t"]
    close $file
}

# ---- (a) records -----------------------------------------------------------

rename send_data_packet hk_send_data_packet
proc send_data_packet {fd status data {elapsed 0}} {
    if {$::client} {
        switch -- $status {
            err {
                # "<name> in <file>\n<message>[\n<errorInfo>]"
                set suffix " in $::curfile"
                set at [string first "$suffix\n" "$data\n"]
                if {$at >= 0} {
                    set rest [string range $data [expr {$at + [string length $suffix] + 1}] end]
                    hk_record err [string range $data 0 $at-1] $elapsed $rest
                } else {
                    hk_record err "(harness) [lindex [split $data \n] 0]" $elapsed $data
                }
            }
            exception {
                # The client loop ends with a read error on the control socket
                # that the other side closed: not an event of the unit.
                if {![string match {*read $::test_server_fd*} $data]} { hk_record exception $data }
            }
            ok - skip - ignore - testing - server-spawned - server-killed - server-killing -
            done { hk_record $status $data $elapsed }
        }
    }
    hk_send_data_packet $fd $status $data $elapsed
}

# ---- (b) going on ----------------------------------------------------------

proc hk_continued {line} {
    regexp {\\*$} $line backslashes
    expr {[string length $backslashes] % 2}
}

# Splits a script into its top-level commands: when one of them fails between
# two tests, the others still run.
proc hk_split {script} {
    set commands {}
    set buffer ""
    set in_comment 0
    foreach line [split $script "\n"] {
        if {$in_comment} {
            set in_comment [hk_continued $line]
            continue
        }
        if {$buffer eq ""} {
            set trimmed [string trim $line]
            if {$trimmed eq ""} continue
            if {[string index $trimmed 0] eq "#"} {
                set in_comment [hk_continued $line]
                continue
            }
        }
        append buffer $line "\n"
        if {[hk_continued $line] || ![info complete $buffer]} continue
        lappend commands $buffer
        set buffer ""
    }
    if {$buffer ne ""} { lappend commands $buffer }
    return $commands
}

proc hk_wrap {script} {
    set wrapped ""
    foreach command [hk_split $script] { append wrapped [list hk_guard $command] "\n" }
    return $wrapped
}

# Drops servers that a failed command pushed and did not pop.
proc hk_pop_servers {depth} {
    while {[llength $::servers] > $depth} {
        set server [lindex $::servers end]
        set ::servers [lrange $::servers 0 end-1]
        catch { dict set server skipleaks 1; kill_server $server }
    }
}

# After a failure: servers that died come back, and the default client of every
# other server gets a fresh connection, as the failed test may have left it in
# MULTI, subscribed, in RESP3 or with unread replies.
proc hk_recover {} {
    for {set i 0} {$i < [llength $::servers]} {incr i} {
        set server [lindex $::servers end-$i]
        if {!$::external && [dict exists $server pid] && [catch {exec kill -0 [dict get $server pid]}]} {
            hk_record note "server [dict get $server pid] died; starting it again"
            if {[catch {restart_server -$i true false} e]} { hk_record note "restart failed: $e" }
        } elseif {[dict exists $server client]} {
            if {[catch {hk_reconnect $i} e]} { hk_record note "reconnect failed: $e" }
        }
    }
}

# As the harness's reconnect, but a server that wants a password by now keeps
# its new client, as the tests that follow will log in.
proc hk_reconnect {i} {
    set server [lindex $::servers end-$i]
    set client [redis [dict get $server host] [dict get $server port] 0 $::tls]
    catch { [dict get $server client] close }
    if {!$::singledb} { catch { $client select 9 } }
    dict set server client $client
    lset ::servers end-$i $server
}

proc hk_guard {hk_command} {
    set hk_depth [llength $::servers]
    set hk_tags $::tags
    set hk_code [catch {uplevel 1 $hk_command} hk_result]
    if {$hk_code == 0} { return $hk_result }
    if {$hk_code != 1} { return -code $hk_code $hk_result }
    set hk_info $::errorInfo
    hk_pop_servers $hk_depth
    set ::tags $hk_tags
    incr ::num_failed
    set hk_line [string trim [lindex [split [string trim $hk_command] "\n"] 0]]
    set hk_name "(between tests, after '$::hk_last_test') $hk_line"
    lappend ::tests_failed [list $hk_name $hk_result]
    send_data_packet $::test_server_fd err "$hk_name in $::curfile\n$hk_info"
    catch hk_recover
    return ""
}

rename test hk_test
proc test {name code {okpattern undefined} {tags {}} args} {
    set failed_before $::num_failed
    set depth [llength $::servers]
    set status [catch {uplevel 1 [list hk_test $name $code $okpattern $tags {*}$args]} result]
    set ::hk_last_test $name
    if {$status == 1} { return -code error -errorinfo $::errorInfo $result }
    if {$::num_failed > $failed_before} {
        hk_pop_servers $depth
        catch hk_recover
    }
    return -code $status $result
}

rename start_server hk_start_server
proc start_server {options {code undefined}} {
    set saved $::tags
    if {$code ne "undefined"} { set code [hk_wrap $code] }
    set status [catch {uplevel 1 [list hk_start_server $options $code]} result]
    set ::tags $saved
    if {$status == 1} { return -code error -errorinfo $::errorInfo $result }
    return -code $status $result
}

rename tags hk_tags
proc tags {tags code} {
    set saved $::tags
    set status [catch {uplevel 1 [list hk_tags $tags [hk_wrap $code]]} result]
    set ::tags $saved
    if {$status == 1} { return -code error -errorinfo $::errorInfo $result }
    return -code $status $result
}

rename cluster_setup hk_cluster_setup
proc cluster_setup {args} {
    set args [lreplace $args end end [hk_wrap [lindex $args end]]]
    uplevel 1 [list hk_cluster_setup {*}$args]
}

# A server that exits before it printed its pid fails at once, not after the
# 120 seconds that the harness waits.
rename wait_server_started hk_wait_server_started
proc wait_server_started {config_file stdout args} {
    set pid [lindex $args end]
    for {set i 0} {$i < 1200} {incr i} {
        set alive [expr {![catch {exec kill -0 $pid}]}]
        set log ""
        catch { set log [exec cat $stdout] }
        if {[regexp -- " PID: $pid" $log] || [regexp {Failed listening on port} $log]} break
        if {!$alive} {
            catch { append log [exec cat [file join [file dirname $stdout] stderr]] }
            error "server exited at start-up: [string trim [string range $log end-1000 end]]"
        }
        after 50
    }
    uplevel 1 [list hk_wait_server_started $config_file $stdout {*}$args]
}

# The harness waits for ever when "Ready to accept" never comes; here 60 s.
array set ::hk_ready {}
rename count_message_lines hk_count_message_lines
proc count_message_lines {file pattern} {
    set count [hk_count_message_lines $file $pattern]
    if {$pattern ne "Ready to accept"} { return $count }
    set now [clock seconds]
    # Count, first asked, last asked; a new wait when the last is long ago.
    if {![info exists ::hk_ready($file)] || [lindex $::hk_ready($file) 0] != $count
        || $now - [lindex $::hk_ready($file) 2] > 5} {
        set ::hk_ready($file) [list $count $now $now]
    }
    lset ::hk_ready($file) 2 $now
    if {$now - [lindex $::hk_ready($file) 1] > 60} {
        unset ::hk_ready($file)
        error "no 'Ready to accept' line within 60 s in $file"
    }
    return $count
}

proc execute_test_file __testname {
    set ::curfile "tests/$__testname.tcl"
    set hk_file [open $::curfile]
    set hk_text [read $hk_file]
    close $hk_file
    foreach hk_command [hk_split $hk_text] {
        set hk_code [catch {hk_guard $hk_command} hk_result]
        if {$hk_code == 2} break ;# "return" at file level
        if {$hk_code == 1} { hk_record note "hook error: $hk_result" }
    }
    send_data_packet $::test_server_fd done $__testname
}
