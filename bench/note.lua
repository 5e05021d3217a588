-- GET of one of COUNT notes, at random: wrk -s bench/note.lua http://HOST:PORT/notes/ -- FIRST COUNT
init = function(arguments)
    first, count = tonumber(arguments[1]), tonumber(arguments[2])
end

request = function()
    return wrk.format(nil, wrk.path .. (first + math.random(0, count - 1)))
end
