#!/bin/sh
# lp and lpstat, as far as a card printer needs them: jobs are files, and $CUPS/mood says what goes wrong.
mood=$(cat "$CUPS/mood")
echo "$(basename "$0") $*" >>"$CUPS/asked"
[ "$mood" = away ] && { echo "lpstat: Connection refused" >&2; exit 1; }
case "$(basename "$0") $*" in
"lpstat -p card")
  [ "$mood" = stopped ] && echo "printer card disabled since Fri Nov 27 09:00:00 2026 -" || echo "printer card is idle.  enabled since Fri Nov 27" ;;
"lpstat -a card")
  [ "$mood" = closed ] && echo "card not accepting requests since Fri Nov 27 -" || echo "card accepting requests since Fri Nov 27" ;;
"lpstat -p "*) echo 'lpstat: Invalid destination name in list "other".' >&2; exit 1 ;;
"lpstat -W not-completed -o card") for job in $(ls "$CUPS/waiting"); do echo "$job  clerk  1024  Fri Nov 27"; done ;;
"lpstat -W completed -o card") for job in $(ls "$CUPS/ended"); do echo "$job  clerk  1024  Fri Nov 27"; done ;;
"lpstat -H") echo script ;;
"lp "*)
  [ "$mood" = refuses ] && { echo "lp: Error - the printer is on fire" >&2; exit 1; }
  [ "$mood" = sleeps ] && exec sleep 600
  job=card-$(($(ls "$CUPS/sent" | wc -l) + 1))
  cat >"$CUPS/sent/$job"
  case $mood in
  dies) : >"$CUPS/waiting/$job"; kill -9 $$ ;;
  nameless) : >"$CUPS/waiting/$job"; exit 0 ;;
  vanishes) echo away >"$CUPS/mood"; exit 1 ;;
  stays) : >"$CUPS/waiting/$job" ;;
  aborts) echo 8 >"$CUPS/ended/$job" ;;
  *) echo 9 >"$CUPS/ended/$job" ;;
  esac
  echo "request id is $job (0 file(s))" ;;
*) echo "what? $*" >&2; exit 2 ;;
esac
